"""SIGKILL in mid-flow, once per role: nothing is lost, everything ends once, hardly anything is told twice."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
import pytest

import topics
from pipeline.notifications import Channel
from pipeline.outcomes import Outcome, Status
from pipeline.vocabulary import StatusCode
from settings import Role
from simulators.faults import Faults
from tests.e2e.cargo import Shipment, person
from tests.e2e.world import BATCH, CALLS, Mark, Row, World, eventually

SHIPMENTS = 60
STEPS = (StatusCode.GTIN, StatusCode.LOAD, StatusCode.DEPA, StatusCode.ARRI, StatusCode.DISC, StatusCode.GTOT)
FEED_S = 4.0
LATENCY_MS = {Channel.SMS: 100.0, Channel.EMAIL: 30.0, Channel.PUSH: 100.0}
IN_FLIGHT = CALLS * BATCH
RECOVERED_WITHIN_S = 90.0

CONSUMING = [role for role in Role if role is not Role.API]


class Kill:
    """Of a role's worker, by a thread of its own: the feed does not pause for it.

    ``at`` is when it happened; ``channel`` is the one to watch, the role's own or any.
    """

    def __init__(self, world: World, role: Role) -> None:
        self._world = world
        self._role = role
        self.channel = role.channel or Channel.SMS
        self.at = 0.0

    @contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        """It is over when the block is left; fails where nothing was under way."""
        heard_before = len(self._world.heard(self.channel))
        timer = threading.Timer(seconds, self._kill)
        timer.start()
        try:
            yield
        finally:
            timer.join()
        assert self._heard > heard_before, "nothing was under way"

    def _kill(self) -> None:
        self._heard = len(self._world.heard(self.channel))
        self._world.pipeline.supervisor.kill(self._role)
        self.at = time.monotonic()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", CONSUMING)
def test_a_killed_worker_loses_nothing(world: World, role: Role, figure: Callable[[str], None]) -> None:
    for channel, latency_ms in LATENCY_MS.items():
        # Only what waits for another attempt passes through the retry role.
        fail_first = 1 if role is Role.RETRY and channel is Channel.SMS else 0
        world.simulator(channel).set_faults(Faults(latency_ms=latency_ms, fail_first=fail_first))
    shipments = [Shipment(people=(person(), person())) for _ in range(SHIPMENTS)]
    world.subscribe(*shipments)
    outcomes_before = world.mark(topics.OUTCOMES)

    feed = [(shipment, shipment.event(step)) for step in STEPS for shipment in shipments]
    expected: dict[str, Channel] = {}
    published_at: dict[str, float] = {}
    kill = Kill(world, role)
    began = time.monotonic()
    with kill.after(FEED_S / 2):
        for position, (shipment, event) in enumerate(feed):
            time.sleep(max(0.0, began + FEED_S * position / len(feed) - time.monotonic()))
            world.tell(event)
            ids = shipment.ids(event)
            expected |= ids
            published_at |= dict.fromkeys((id for id in ids if ids[id] is kill.channel), time.monotonic())
    back_s = _first_outcome(world, {id for id, at in published_at.items() if at > kill.at}) - kill.at

    rows = world.outcomes_of(expected, within_s=RECOVERED_WITHIN_S)
    assert Counter(row["status"] for row in rows.values()) == {Status.SENT: len(expected)}
    assert world.outcomes(shipments).keys() == expected.keys(), "an outcome that nobody expected"
    assert _dispositions(world, shipments) == {"accepted": len(feed)}
    again = _outcomes_agree(world, outcomes_before, rows)
    duplicates = _duplicates(world, expected)
    told_twice = " ".join(f"{channel} {count}" for channel, count in duplicates.items())
    figure(f"SIGKILL {role}: back after {back_s:.1f} s; told twice: {told_twice}; outcomes repeated: {again}")
    for channel, count in duplicates.items():
        bound = IN_FLIGHT if channel is role.channel and channel is not Channel.SMS else 0
        assert count <= bound, f"{channel}: {count} told twice"


def _first_outcome(world: World, ids: set[str]) -> float:
    eventually(
        lambda: world.query("SELECT 1 FROM notification_outcome WHERE notification_id = ANY ($1) LIMIT 1", list(ids)),
        "anything published after the kill to end",
        within_s=RECOVERED_WITHIN_S,
    )
    return time.monotonic()


def _dispositions(world: World, shipments: list[Shipment]) -> Mapping[str, int]:
    rows = world.query(
        "SELECT disposition, count(*) FROM event_ledger WHERE shipment_id = ANY ($1) GROUP BY 1",
        [one.id for one in shipments],
    )
    return {row["disposition"]: row["count"] for row in rows}


def _outcomes_agree(world: World, since: Mark, rows: Mapping[str, Row]) -> int:
    """The topic's first word on a notification is Postgres' only one, and no later word contradicts it.

    Returns how many words were repeated.
    """
    told = [
        msgspec.json.decode(message.value() or b"", type=Outcome) for message in world.records(topics.OUTCOMES, since)
    ]
    first: dict[str, Outcome] = {}
    for outcome in told:
        before = first.setdefault(outcome.notification_id, outcome)
        assert (outcome.status, outcome.attempts) == (before.status, before.attempts), (before, outcome)
    assert first.keys() == rows.keys()
    for id, row in rows.items():
        assert (first[id].status, first[id].finished_at) == (row["status"], row["finished_at"])
    return len(told) - len(first)


def _duplicates(world: World, expected: Mapping[str, Channel]) -> Counter[Channel]:
    """How often each provider was told again what it had been told; fails where one was not told at all."""
    duplicates: Counter[Channel] = Counter()
    for channel in Channel:
        ids = {id for id, its in expected.items() if its is channel}
        accepted = Counter(entry.id for entry in world.accepted(channel, ids))
        assert accepted.keys() == ids, f"{channel}: an outcome says sent, its provider was never told"
        duplicates[channel] = accepted.total() - len(accepted)
    return duplicates
