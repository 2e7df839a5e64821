from random import Random

import msgspec
import pytest

from simulators.faults import CallFault, FaultPlan, Faults, Refusal


def plan(**faults: object) -> FaultPlan:
    return FaultPlan(Random(1), msgspec.convert(faults, Faults))


def test_nothing_goes_wrong_unless_told() -> None:
    assert plan().for_call() is None
    assert plan().for_message("1", "a") is None


def test_limit_ends_a_fault() -> None:
    limited = plan(call="reset", limit=2)
    assert [limited.for_call() for _ in range(4)] == [CallFault.RESET, CallFault.RESET, None, None]


def test_rate_is_thrown_with_seeded_dice() -> None:
    one, other = plan(call="reset", rate=0.3), plan(call="reset", rate=0.3)
    thrown = [one.for_call() for _ in range(1_000)]
    assert thrown == [other.for_call() for _ in range(1_000)]
    assert 250 < thrown.count(CallFault.RESET) < 350


@pytest.mark.parametrize(("rate", "happens"), [(0.0, False), (1.0, True)])
def test_rates_at_the_ends(rate: float, happens: bool) -> None:
    assert all((fault is not None) is happens for fault in [plan(call="error", rate=rate).for_call()] * 100)


def test_first_matching_pattern_refuses() -> None:
    refusing = plan(refuse=[{"pattern": "+7900*", "code": "x"}, {"pattern": "*", "retryable": True}])
    assert refusing.for_message("1", "+79001112233") == Refusal(pattern="+7900*", code="x")
    assert refusing.for_message("2", "+44") == Refusal(pattern="*", retryable=True)


def test_each_message_fails_its_first_times() -> None:
    failing = plan(fail_first=2)
    assert [failing.fails_still(one) for one in "aabab"] == [True, True, True, False, True]


def test_a_change_begins_all_counts_anew() -> None:
    changed = plan(call="error", limit=1, fail_first=1)
    assert (changed.for_call(), changed.fails_still("a")) == (CallFault.ERROR, True)
    changed.change(Faults(call=CallFault.RESET, limit=1, fail_first=1))
    assert (changed.for_call(), changed.fails_still("a")) == (CallFault.RESET, True)


@pytest.mark.parametrize("faults", [{"cal": "reset"}, {"call": "melt"}, {"refuse": [{"code": "550"}]}])
def test_a_wrong_word_is_refused(faults: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(faults, Faults)
