"""The circuit: so many failures in a row open it, a probe closes it, and what says nothing changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.circuit import LONGEST_ASKED_S, Circuit, CircuitPolicy, CircuitState, was_served
from pipeline.errors import NotAsked, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.ports import Accepted, SendResult

POLICY = CircuitPolicy(failures=3, wait_s=1.0, longest_wait_s=8.0)


def fail(circuit: Circuit, times: int = 1, *, now: float = 0.0) -> None:
    for _ in range(times):
        circuit.end(False, now, probe=circuit.begin(), asked_s=0.0)


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(POLICY)
    fail(circuit, 3, now=now)
    return circuit


@pytest.mark.parametrize(
    ("results", "served"),
    [
        pytest.param([Accepted("r")], True, id="accepted"),
        pytest.param([PermanentError("no such number")], True, id="a refusal of one message is service"),
        pytest.param([TransientError("busy")], True, id="so is one that may work later"),
        pytest.param([Unavailable("refused"), Accepted("r")], True, id="one of many was served"),
        pytest.param([Unavailable("refused")], False, id="refused"),
        pytest.param([Unconfirmed("silence")], False, id="silence"),
        pytest.param([Unconfirmed("silence"), Throttled("no connection was free")], False, id="silence, and a queue"),
        pytest.param([Throttled("429")], None, id="slow down"),
        pytest.param([NotAsked("no address")], None, id="nobody was asked"),
        pytest.param([NotAsked("no address"), Unavailable("refused")], False, id="one was asked"),
        pytest.param([], None, id="nothing was sent"),
    ],
)
def test_what_a_call_says_of_its_provider(results: list[SendResult], served: bool | None) -> None:
    assert was_served(results) is served


def test_it_opens_at_so_many_failures_in_a_row() -> None:
    circuit = Circuit(POLICY)
    fail(circuit, 2)
    circuit.end(True, 0.0, probe=False, asked_s=0.0)
    fail(circuit, 2)
    assert circuit.state is CircuitState.CLOSED
    fail(circuit)
    assert circuit.state is CircuitState.OPEN
    assert circuit.opens_in(0.25) == 0.75


def test_one_probe_at_a_time() -> None:
    circuit = opened()
    assert circuit.opens_in(1.0) == 0.0
    assert circuit.begin()
    assert (circuit.state, circuit.opens_in(1.0)) == (CircuitState.HALF_OPEN, None)


def test_a_probe_that_is_served_closes_it_and_the_next_wait_is_short_again() -> None:
    circuit = opened()
    fail(circuit, now=1.0)
    assert circuit.opens_in(1.0) == 2.0
    circuit.end(True, 3.0, probe=circuit.begin(), asked_s=0.0)
    assert circuit.state is CircuitState.CLOSED
    fail(circuit, 3, now=4.0)
    assert circuit.opens_in(4.0) == 1.0


def test_waits_double_up_to_the_longest() -> None:
    circuit = opened()
    waits = []
    for _ in range(6):
        fail(circuit)
        waits.append(circuit.opens_in(0.0))
    assert waits == [2.0, 4.0, 8.0, 8.0, 8.0, 8.0]


def test_a_probe_that_says_nothing_is_made_again_after_the_same_wait() -> None:
    circuit = opened()
    circuit.end(None, 1.0, probe=circuit.begin(), asked_s=0.0)
    assert (circuit.state, circuit.opens_in(1.0)) == (CircuitState.OPEN, 1.0)


def test_a_probe_that_was_not_made_holds_nobody_up() -> None:
    """Thousands of stale messages at the head must not keep the provider from being asked."""
    circuit = opened()
    circuit.begin()
    circuit.abandon(2.0)
    assert (circuit.state, circuit.opens_in(2.0)) == (CircuitState.OPEN, 0.0)


def test_calls_from_before_it_opened() -> None:
    """Their failures are no news; one that was served after all is."""
    circuit = opened()
    for _ in range(10):
        circuit.end(False, 0.5, probe=False, asked_s=0.0)
    assert circuit.opens_in(0.5) == 0.5
    circuit.begin()
    circuit.end(False, 1.0, probe=False, asked_s=0.0)
    assert circuit.state is CircuitState.HALF_OPEN
    circuit.end(True, 1.0, probe=False, asked_s=0.0)
    assert circuit.state is CircuitState.CLOSED


@pytest.mark.parametrize(("asked_s", "waits_s"), [(0.5, 1.0), (30.0, 30.0), (86_400.0, LONGEST_ASKED_S)])
def test_the_providers_own_wait_is_honoured_within_reason(asked_s: float, waits_s: float) -> None:
    circuit = Circuit(CircuitPolicy(failures=1, wait_s=1.0, longest_wait_s=8.0))
    circuit.end(False, 0.0, probe=False, asked_s=asked_s)
    assert circuit.opens_in(0.0) == waits_s


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(0, 20)), max_size=60))
def test_it_never_stays_shut_for_longer_than_it_may(calls: list[tuple[bool | None, int]]) -> None:
    """Whatever happens: a served call closes it, and an open one lets a probe through within the longest wait."""
    circuit, now = Circuit(POLICY), 0.0
    for served, later in calls:
        wait_s = circuit.opens_in(now)
        assert wait_s is not None
        assert wait_s <= POLICY.longest_wait_s
        now += max(wait_s, later)
        circuit.end(served, now, probe=circuit.begin(), asked_s=0.0)
        assert not served or circuit.state is CircuitState.CLOSED
