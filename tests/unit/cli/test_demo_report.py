"""A demo closes when every event and notification is accounted for; each thing that is wrong is named by its check."""

import io
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from cli.account import Account
from cli.demo_report import REASONS_SHOWN, print_account
from pipeline.ledger import Disposition
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.feed import Expectation
from simulators.launch import Kind
from simulators.ledger import Result, Summary

EVENTS = "every event is in the ledger"
MADE = "every notification was made"
ENDED = "every notification has one outcome"
TOLD = "what is called sent was told"

FED = Expectation(
    accepted=6,
    repeated=2,
    unsubscribed=1,
    silent=1,
    retracted=1,
    refused=Counter({"cut": 2, "no text": 1}),
    notifications=8,
)
SOUND = Account(
    dispositions=Counter(
        {
            Disposition.ACCEPTED: 6,
            Disposition.REPEATED: 2,
            Disposition.UNSUBSCRIBED: 1,
            Disposition.SILENT: 1,
            Disposition.RETRACTED: 1,
            Disposition.REFUSED: 3,
        }
    ),
    refusals={"not JSON": 2, "not UTF-8": 1},
    notifications=8,
    outcomes=Counter(
        {
            (Channel.SMS, Status.SENT): 4,
            (Channel.EMAIL, Status.SENT): 2,
            (Channel.EMAIL, Status.PERMANENT_FAILURE): 1,
            (Channel.SMS, Status.UNCONFIRMED): 1,
        }
    ),
    unaccounted=0,
)


def told(distinct: int, twice: int = 0) -> Summary:
    return Summary(
        connections=1,
        requests=1,
        tokens=0,
        messages=9,
        distinct=distinct,
        duplicates=twice,
        results={Result.REFUSED: 1},
    )


@dataclass
class Report:
    closes: bool
    checks: dict[str, str]
    text: str

    def failed(self) -> list[str]:
        return [name for name, sign in self.checks.items() if sign == "✗"]


def report(account: Account, sms_told: int = 4, told_twice: int = 0) -> Report:
    console = Console(file=io.StringIO(), width=200)
    providers = {Kind.SMS: told(sms_told, told_twice), Kind.SMTP: told(2)}
    closes = print_account(console, account, FED, Counter(), providers, {"send-sms": 1, "sink": 0})
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    lines = [line.strip() for line in text.splitlines()]
    checks = {line[2:].partition(" (")[0]: line[0] for line in lines if line.startswith(("✓", "✗"))}
    return Report(closes, checks, text)


def with_events(**more: int) -> Account:
    found = SOUND.dispositions.copy()
    found.update({Disposition(name): count for name, count in more.items()})
    return replace(SOUND, dispositions=found)


def with_outcomes(channel: Channel, status: Status, more: int, **fields: int) -> Account:
    outcomes = SOUND.outcomes.copy()
    outcomes[channel, status] += more
    return replace(SOUND, outcomes=outcomes, **fields)


def test_a_demo_closes_when_all_is_well() -> None:
    found = report(SOUND)
    assert found.checks == dict.fromkeys([EVENTS, MADE, ENDED, TOLD], "✓")
    assert found.closes
    assert "unaccounted: 0" in found.text


def test_what_was_told_and_is_called_unconfirmed_is_no_lie() -> None:
    assert report(SOUND, sms_told=5).closes


FAILED = Status.PERMANENT_FAILURE


@pytest.mark.parametrize(
    ("account", "sms_told", "failed", "unaccounted"),
    [
        pytest.param(with_events(accepted=-1), 4, EVENTS, 1, id="an event is lost"),
        pytest.param(with_events(refused=-3), 4, EVENTS, 3, id="nothing is known of what was refused"),
        pytest.param(with_events(repeated=1), 4, EVENTS, 1, id="an event too many"),
        pytest.param(
            with_outcomes(Channel.EMAIL, FAILED, -1, notifications=7), 4, MADE, 0, id="a notification is not made"
        ),
        pytest.param(
            with_outcomes(Channel.EMAIL, FAILED, 1, notifications=9), 4, MADE, 0, id="a notification too many"
        ),
        pytest.param(with_outcomes(Channel.EMAIL, FAILED, -1, unaccounted=1), 4, ENDED, 1, id="one has not ended"),
        pytest.param(with_outcomes(Channel.EMAIL, FAILED, 1), 4, ENDED, 0, id="one ended twice"),
        pytest.param(replace(SOUND, unaccounted=1), 4, ENDED, 1, id="one ended twice and another not at all"),
        pytest.param(SOUND, 3, TOLD, 0, id="what is called sent was not told"),
    ],
)
def test_what_is_wrong_fails_its_check_alone(account: Account, sms_told: int, failed: str, unaccounted: int) -> None:
    found = report(account, sms_told)
    assert found.failed() == [failed]
    assert not found.closes
    assert f"unaccounted: {unaccounted}\n" in found.text


def test_every_fault_is_told_and_not_the_first_alone() -> None:
    account = with_outcomes(Channel.EMAIL, FAILED, -1, notifications=9, unaccounted=2)
    found = report(replace(account, dispositions=Counter()), sms_told=0)
    assert (found.failed(), found.closes) == ([EVENTS, MADE, ENDED, TOLD], False)


def test_reasons_beyond_those_that_fit_are_summed_up() -> None:
    reasons = {f"reason {number}": 20 - number for number in range(REASONS_SHOWN + 3)}
    text = report(replace(SOUND, refusals=reasons)).text
    assert f"reason {REASONS_SHOWN - 1} " in text
    assert f"reason {REASONS_SHOWN} " not in text
    (left,) = (line for line in text.splitlines() if "for other reasons" in line)
    assert str(8 + 7 + 6) in left


def test_who_was_started_again_and_told_twice_is_named() -> None:
    text = report(SOUND, told_twice=3).text
    assert "send-sms ×1" in text
    assert "sink" not in text
    assert "4 told, 1 refused, 3 told twice" in text
