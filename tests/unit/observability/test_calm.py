"""A library's flood becomes a line once in a while; what is new is heard at once."""

import logging

from observability.calm import EVERY_S, REMEMBER, Calm
from tests.fakes import Clock


def line(message: str, name: str = "aiokafka", *fields: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, fields, None)


def test_the_same_message_is_heard_once_in_a_while_whatever_its_fields() -> None:
    clock = Clock()
    calm = Calm(clock.seconds)
    assert calm.filter(line("cannot connect to %s", "aiokafka", "a"))
    assert not calm.filter(line("cannot connect to %s", "aiokafka", "b"))
    clock.advance(EVERY_S)
    assert calm.filter(line("cannot connect to %s", "aiokafka", "c"))


def test_another_message_or_logger_is_heard_at_once() -> None:
    calm = Calm(Clock().seconds)
    assert calm.filter(line("away"))
    assert calm.filter(line("back"))
    assert calm.filter(line("away", "faust"))


def test_it_remembers_only_so_much() -> None:
    calm = Calm(Clock().seconds)
    assert all(calm.filter(line(f"message {number}")) for number in range(3 * REMEMBER))
