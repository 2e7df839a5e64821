"""The lease: held from a heartbeat that was answered, for the session timeout from when it was sent."""

from streaming.lease import Lease
from tests.fakes import Clock


def test_it_is_held_for_its_term_from_when_it_was_asked_for() -> None:
    clock = Clock()
    lease = Lease(10.0, clock.seconds)
    assert not lease.is_held()
    asked_at = lease.now()
    clock.advance(4.0)
    lease.renew(asked_at)
    clock.advance(5.9)
    assert lease.is_held()
    clock.advance(0.2)
    assert not lease.is_held()


def test_it_comes_back_with_the_next_answer() -> None:
    clock = Clock()
    lease = Lease(10.0, clock.seconds)
    lease.renew(lease.now())
    clock.advance(60.0)
    lease.renew(lease.now())
    assert lease.is_held()


def test_silence_is_counted_from_what_was_confirmed_last() -> None:
    clock = Clock()
    lease = Lease(10.0, clock.seconds)
    clock.advance(3.0)
    assert lease.silent_s() == 3
    lease.renew(lease.now() - 1)
    lease.end()
    clock.advance(20.0)
    assert lease.silent_s() == 21
