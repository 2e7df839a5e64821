"""Which call is next: urgent first, and while the provider is down none but probes."""

import pytest

from pipeline.batching import BatchPolicy, Item
from pipeline.circuit import CircuitPolicy, CircuitState
from pipeline.dispatch import URGENT_COMES_FOR_S, Call, CallPolicy, Dispatch
from pipeline.errors import TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Lane
from pipeline.ports import Accepted, SendResult

DOWN = Unavailable("no connection")


def dispatch(*, calls: int = 4, for_urgent: int = 1, failures: int = 1) -> Dispatch[str]:
    return Dispatch(
        BatchPolicy(messages=3, size_bytes=1_000, linger_s=0.5),
        CallPolicy(calls=calls, for_urgent=for_urgent),
        CircuitPolicy(failures=failures, wait_s=1.0, longest_wait_s=8.0),
    )


def push(to: Dispatch[str], *values: str, lane: Lane = Lane.BULK, at: float = 0.0) -> None:
    for value in values:
        to.push(lane, Item(value, 10, at, value))


def take(from_: Dispatch[str], now: float = 0.0) -> Call[str]:
    call = from_.next(now)
    assert isinstance(call, Call)
    return call


def values(call: Call[str]) -> list[str]:
    return [item.value for item in call.items]


def answered(by: Dispatch[str], call: Call[str], result: SendResult, now: float = 0.0) -> None:
    by.answer(call, [result] * len(call.items), now)
    again = [item for item in call.items if by.costs_nothing(result)]
    by.release(call, now, again)
    by.settle(call)


def test_urgent_goes_first_and_finds_room_that_bulk_must_leave() -> None:
    queue = dispatch(calls=2, for_urgent=1)
    push(queue, "b1", "b2", "b3", "b4", "b5", "b6")
    assert values(take(queue)) == ["b1", "b2", "b3"]
    assert queue.next(0.0) is None
    push(queue, "u1", lane=Lane.URGENT)
    assert values(take(queue)) == ["u1"]


def test_nothing_to_do_is_nothing_to_wait_for() -> None:
    assert dispatch().next(0.0) is None


def test_a_batch_that_is_not_full_waits_beside_another_call() -> None:
    queue = dispatch()
    push(queue, "a")
    take(queue)
    push(queue, "b", at=1.0)
    assert queue.next(1.25) == 0.25
    assert values(take(queue, 1.5)) == ["b"]


def test_urgent_waits_longer_for_each_call_that_it_takes_from_bulk() -> None:
    queue = dispatch(calls=9, for_urgent=2)
    for call in ("u1", "u2", "u3"):
        push(queue, call, lane=Lane.URGENT)
        take(queue, 0.5)
    push(queue, "u4", lane=Lane.URGENT, at=1.0)
    assert queue.next(1.0) == 0.5, "there is no bulk to take it from"
    push(queue, "b1", at=1.0)
    assert values(take(queue, 1.0)) == ["b1"], "its first call waits for nothing"
    push(queue, "b2", at=1.4)
    assert queue.next(1.5) == pytest.approx(0.4), "bulk's batch comes before urgent's, which waits for two lingers"
    push(queue, "u5", "u6", lane=Lane.URGENT, at=1.5)
    assert values(take(queue, 1.5)) == ["u4", "u5", "u6"], "a full one waits for nothing"


def test_while_no_urgent_comes_bulk_leaves_one_call_free_for_it() -> None:
    queue = dispatch(calls=4, for_urgent=2)
    push(queue, *(f"b{number}" for number in range(12)))
    for _ in range(3):
        assert take(queue).lane is Lane.BULK
    assert queue.next(0.0) is None
    push(queue, "u1", lane=Lane.URGENT)
    assert values(take(queue)) == ["u1"]


@pytest.mark.parametrize(
    ("silence_s", "for_bulk"),
    [
        pytest.param(URGENT_COMES_FOR_S - 1.0, 2, id="urgent comes"),
        pytest.param(URGENT_COMES_FOR_S, 3, id="urgent came long ago"),
    ],
)
def test_while_urgent_comes_bulk_leaves_all_its_calls_free(silence_s: float, for_bulk: int) -> None:
    queue = dispatch(calls=4, for_urgent=2)
    push(queue, "u1", lane=Lane.URGENT, at=100.0)
    answered(queue, take(queue, 100.0), Accepted("r"), 100.0)
    push(queue, *(f"b{number}" for number in range(12)), at=100.0)
    now = 100.0 + silence_s
    for _ in range(for_bulk):
        assert take(queue, now).lane is Lane.BULK
    assert queue.next(now) is None


def test_no_call_is_left_free_where_none_is_to_be() -> None:
    queue = dispatch(calls=2, for_urgent=0)
    push(queue, "b1", "b2", "b3", "b4", "b5", "b6")
    assert [values(take(queue)), values(take(queue))] == [["b1", "b2", "b3"], ["b4", "b5", "b6"]]


def test_what_urgent_has_need_not_be_left_free_for_it_again() -> None:
    queue = dispatch(calls=4, for_urgent=2)
    push(queue, "u1", "u2", "u3", "u4", lane=Lane.URGENT)
    take(queue)
    push(queue, "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9")
    take(queue)
    take(queue)
    assert queue.next(0.0) == 0.5, "a call is left for urgent, whose next batch is not full"
    assert values(take(queue, 0.5)) == ["u4"]
    assert queue.next(0.5) is None


def test_what_a_dead_provider_was_not_told_goes_back_to_the_front_in_order() -> None:
    queue = dispatch(failures=1)
    push(queue, "a", "b", "c", "d")
    call = take(queue)
    answered(queue, call, DOWN)
    assert queue.circuit is CircuitState.OPEN
    assert queue.next(0.25) == 0.75
    probe = take(queue, 1.0)
    assert (values(probe), probe.probe) == (["a"], True)
    assert queue.next(1.0) is None, "one probe at a time"
    answered(queue, probe, Accepted("r"), 1.0)
    assert values(take(queue, 1.0)) == ["b", "c", "d"]


def test_each_probe_is_another_message_and_the_lanes_take_turns() -> None:
    """One that never works, alone on its lane or before all others, must not keep the provider from being asked."""
    queue = dispatch(failures=1)
    push(queue, "u", lane=Lane.URGENT)
    answered(queue, take(queue), DOWN)
    push(queue, "a", "b", "c")
    probed = []
    for number in range(6):
        probe = take(queue, 100.0 * (number + 1))
        probed += values(probe)
        answered(queue, probe, DOWN, 100.0 * (number + 1))
    assert probed == ["u", "a", "u", "b", "u", "c"]


def test_a_probe_that_failed_keeps_the_order_of_its_recipient() -> None:
    queue = dispatch(failures=1)
    for value in ("first", "second"):
        queue.push(Lane.BULK, Item("anna", 10, 0.0, value))
    push(queue, "b")
    answered(queue, take(queue), DOWN)
    answered(queue, take(queue, 100.0), DOWN, 100.0)
    answered(queue, take(queue, 200.0), Accepted("r"), 200.0)
    assert values(take(queue, 200.0)) == ["first", "second"]


def test_while_the_circuit_is_closed_a_failure_costs_its_attempt() -> None:
    queue = dispatch(failures=2)
    push(queue, "a")
    call = take(queue)
    queue.answer(call, [DOWN], 0.0)
    assert not queue.costs_nothing(DOWN)


def test_only_what_was_certainly_not_told_costs_nothing() -> None:
    queue = dispatch(failures=1)
    push(queue, "a")
    queue.answer(take(queue), [DOWN], 0.0)
    assert queue.costs_nothing(DOWN)
    assert not any(map(queue.costs_nothing, [Unconfirmed("silence"), TransientError("busy"), Accepted("r")]))


def test_a_probe_is_urgent_if_anything_is() -> None:
    queue = dispatch(failures=1)
    push(queue, "b")
    answered(queue, take(queue), DOWN)
    push(queue, "u1", "u2", lane=Lane.URGENT)
    assert values(take(queue, 1.0)) == ["u1"]


def test_a_probe_that_was_not_made_is_made_with_the_next() -> None:
    """What was stale, or whose partition was taken away, tells nothing of the provider."""
    queue = dispatch(failures=1)
    push(queue, "a")
    answered(queue, take(queue), DOWN)
    probe = take(queue, 1.0)
    queue.release(probe, 1.0)
    queue.settle(probe)
    push(queue, "b")
    assert queue.circuit is CircuitState.OPEN
    assert take(queue, 1.0).probe


def test_what_goes_back_stands_before_what_waited_behind_it() -> None:
    queue = dispatch(failures=1)
    queue.push(Lane.BULK, Item("anna", 10, 0.0, "first"))
    call = take(queue)
    queue.push(Lane.BULK, Item("anna", 10, 0.0, "second"))
    assert queue.next(1.0) is None
    answered(queue, call, DOWN, 1.0)
    probe = take(queue, 2.0)
    answered(queue, probe, Accepted("r"), 2.0)
    assert (values(probe), values(take(queue, 2.0))) == (["first"], ["second"])


def test_partitions_that_are_taken_away_leave_the_circuit_as_it_is() -> None:
    queue = dispatch(failures=1)
    push(queue, "a")
    answered(queue, take(queue), DOWN)
    queue.clear()
    assert (queue.circuit, queue.next(5.0)) == (CircuitState.OPEN, None)


def test_a_call_holds_its_place_until_what_it_came_to_is_durable() -> None:
    """Its keys are free before: what a crash may repeat is bounded by the calls, order by the keys."""
    queue = dispatch(calls=2, for_urgent=1)
    push(queue, "a", "b", "c", "d")
    call = take(queue)
    queue.answer(call, [Accepted("r")] * 3, 0.0)
    queue.release(call, 0.0)
    assert queue.next(9.0) is None
    queue.settle(call)
    assert values(take(queue, 9.0)) == ["d"]
