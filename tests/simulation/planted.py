"""Does the simulation find what it is for? Mistakes that could be made in the code under test, planted one at a time.

python -m tests.simulation.planted a_claim_is_not_waited_for
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import msgspec
import pytest

import agents.delay
import agents.enrich
import agents.telling
import pipeline.delivery
import tests.simulation.schedules
from agents.aftermath import Aftermath
from agents.enrich import Enricher
from agents.recent import Recent
from agents.send import Sender
from agents.sink import Sink
from pipeline.errors import StorageUnavailable
from pipeline.ports import StoreResult
from streaming.consumer import FetchConsumer
from streaming.delay import DelayService
from streaming.engine import Engine
from streaming.inflight import InFlight
from streaming.producer import Record
from tables.claims import Claims
from tests.simulation.search import Failure, same_in_every_process, search, shortest

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Found in ``profile`` within so many seeds, from ``first`` on."""

    name: str
    profile: str
    first: int
    within: int
    plant: Plant


MISTAKES: list[Mistake] = []


def mistake(profile: str, *, first: int = 0, within: int) -> Callable[[Plant], Plant]:
    def note(plant: Plant) -> Plant:
        MISTAKES.append(Mistake(plant.__name__, profile, first, within, plant))
        return plant

    return note


class Hurried:
    """A RecordSink that does not wait for the broker."""

    def __init__(self, out: Any) -> None:
        self._out = out

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        asyncio.get_running_loop().create_task(self._out.send_all(records))
        return {}


class Swapped:
    """A RecordSink that sends first what it is given second."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self.first: Sequence[Record] | None = None

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        if self.first is None:
            self.first = records
            return {}
        return await self._out.send_all(records)  # type: ignore[no-any-return]


@mistake("sending", within=400)
def a_claim_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    claim, write = Claims.claim, Claims._write

    async def hurried(self: Any, offsets: Any) -> Any:
        async def later(tps: Any) -> None:
            asyncio.get_running_loop().create_task(write(self, tps))

        self._write = later
        try:
            return await claim(self, offsets)
        finally:
            del self._write

    patch.setattr(Claims, "claim", hurried)


@mistake("sending", within=400)
def doubt_is_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Claims, "is_in_doubt", lambda self, tp, offset: False)


@mistake("sending", within=2_000)
def owners_share_a_row(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tests.simulation.schedules, "token", lambda _: "everybody")


@mistake("sending", within=1_000)
def what_is_known_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Any, one: Any) -> bool:
        return False

    patch.setattr(Aftermath, "is_known", nothing)


@mistake("sending", within=400)
def an_expelled_worker_goes_on(patch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Any) -> None: ...

    patch.setattr(Engine, "membership", at_once)


@mistake("sending", within=200)
def repeats_are_not_recognised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recent, "meet", lambda *_: False)


@mistake("sending", within=3_000)
def nothing_is_looked_back_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "look_back", lambda self, topic: 0)


@mistake("sending", within=200)
def an_outcome_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    start = Sender.start

    async def hurried(self: Any) -> None:
        self._out = Hurried(self._out)
        await start(self)

    patch.setattr(Sender, "start", hurried)


@mistake("sending", within=100)
def one_too_many_is_committed(patch: pytest.MonkeyPatch) -> None:
    new_offset = FetchConsumer._new_offset
    patch.setattr(FetchConsumer, "_new_offset", lambda self, tp: (new_offset(self, tp) or 0) + 1)


# One schedule in ten thousand: here is one.
@mistake("sending", first=9_000, within=20_000)
def a_rebalance_leaves_fetches_alive(patch: pytest.MonkeyPatch) -> None:
    clear = InFlight.clear

    def kept(self: Any) -> None:
        fetches = [fetch for row in self._fetches.values() for fetch in row]
        clear(self)
        for fetch in fetches:
            fetch.live = True

    patch.setattr(InFlight, "clear", kept)


@mistake("sending", within=3_000)
def a_gap_is_not_read_again(patch: pytest.MonkeyPatch) -> None:
    deliver = FetchConsumer._deliver_fetch

    async def credulous(self: Any, tp: Any, records: Any) -> None:
        self._gaps[tp] = (self._expected[tp], records[0].offset)
        await deliver(self, tp, records)

    patch.setattr(FetchConsumer, "_deliver_fetch", credulous)


@mistake("sending", within=50)
def a_wait_ends_too_early(patch: pytest.MonkeyPatch) -> None:
    reader = agents.delay.reader

    def hasty(clock_ms: Any) -> Any:
        read = reader(clock_ms)

        def early(record: Any) -> Any:
            due_ms, record = read(record)
            return due_ms - 300, record

        return early

    patch.setattr(agents.delay, "reader", hasty)


@mistake("sending", within=400)
def what_waited_is_committed_before_it_is_returned(patch: pytest.MonkeyPatch) -> None:
    serve = DelayService._serve_until_stopped

    async def hurried(self: Any) -> None:
        self._out = Hurried(self._out)
        await serve(self)

    patch.setattr(DelayService, "_serve_until_stopped", hurried)


@mistake("sending", within=400)
def attempts_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    decide = pipeline.delivery.decide_retry
    patch.setattr(pipeline.delivery, "decide_retry", lambda error, **told: decide(error, **{**told, "attempts": 0}))


@mistake("sending", within=1_000)
def a_wait_forgets_its_doubt(patch: pytest.MonkeyPatch) -> None:
    judge = agents.telling.judge

    @wraps(judge)
    def forgetful(*arguments: Any, **told: Any) -> Any:
        verdict = judge(*arguments, **told)
        return verdict if verdict.retry is None else replace(verdict, retry=replace(verdict.retry, in_doubt=False))

    patch.setattr(agents.telling, "judge", forgetful)


@mistake("enriching", within=200)
def an_event_is_seen_before_it_is_told(patch: pytest.MonkeyPatch) -> None:
    process = Enricher.process

    async def swapped(self: Any, fetches: Any) -> None:
        out = Swapped(self.out)
        await process(replace(self, out=out), fetches)
        await self.out.send_all(out.first or [])

    patch.setattr(Enricher, "process", swapped)


@mistake("enriching", within=400)
def notifications_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    process = Enricher.process

    async def hurried(self: Any, fetches: Any) -> None:
        class Out(Swapped):
            async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
                if self.first is not None:
                    return await self._out.send_all(records)  # type: ignore[no-any-return]
                self.first = records
                return await Hurried(self._out).send_all(records)

        await process(replace(self, out=Out(self.out)), fetches)

    patch.setattr(Enricher, "process", hurried)


@mistake("enriching", within=200)
def rows_are_kept_by_the_workers_clock(patch: pytest.MonkeyPatch) -> None:
    decide = agents.enrich.decide
    patch.setattr(
        agents.enrich,
        "decide",
        lambda case, *how: decide(msgspec.structs.replace(case, first_seen_at=case.now), *how),
    )


@mistake("everything", within=100)
def postgres_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    async def impatient(self: Any, store: Callable[[], Awaitable[StoreResult]]) -> StoreResult:
        try:
            return await store()
        except StorageUnavailable:
            return StoreResult(0)

    patch.setattr(Sink, "_patiently", impatient)


def found(one: Mistake) -> Failure | None:
    """The shortest story in which the mistake breaks a promise; None where no seed tells one."""
    with pytest.MonkeyPatch.context() as patch:
        one.plant(patch)
        with tests.simulation.schedules.simulated():
            failures = search(one.profile, range(one.first, one.first + one.within)).failures
            return shortest(one.profile, next(iter(failures.values()))) if failures else None


def main() -> int:
    by_name = {one.name: one for one in MISTAKES}
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("mistake", choices=by_name)
    failure = found(by_name[parser.parse_args().mistake])
    sys.stdout.write("\n".join(failure.story if failure else ["not found"]) + "\n")
    return 0 if failure else 1


if __name__ == "__main__":
    same_in_every_process()
    sys.exit(main())
