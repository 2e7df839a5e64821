"""How is a schedule played? One scenario after the other on a pipeline that goes on, each with an account of its own.

A scenario that ends badly leaves its history behind: what was done, what was found, and everybody's ledgers.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import msgspec

from cli.supervisor import WorkersFailed
from pipeline.notifications import Channel
from stack.endpoints import StackError
from tests.chaos.account import Account
from tests.chaos.arena import Arena, NotInTime
from tests.chaos.checker import check
from tests.chaos.injections import Injection, first_sends
from tests.chaos.scenario import Play, Scale, Scenario
from tests.chaos.verdict import Verdict

# Before the first fault and after the last one the pipeline is seen to work.
LEAD_S, TRAIL_S = 2.0, 4.0
MOST_VIOLATIONS = 50
# A provider that honours keys, and a channel whose policy is to give up: there nobody is ever told twice.
NEVER_TWICE = (Channel.SMS, Channel.PUSH)


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of one scenario; ``broken`` holds every promise that was, and what kept it from being played."""

    name: str
    faults: int
    kills: int
    seconds: float
    settle_s: float = 0.0
    verdict: Verdict | None = None
    bound: int = 0
    first_sends_s: Sequence[float] = ()
    kill_first_sends_s: Sequence[float] = ()
    notes: dict[str, float] = field(default_factory=dict)
    broken: Sequence[str] = ()
    not_injected: str = ""


def play_all(
    scenarios: Sequence[Scenario], *, scale: Scale, seed: int, folder: Path, on_played: Callable[[Played], None]
) -> list[Played]:
    """In their order; those with the same number of brokers in a row share a pipeline."""
    results: list[Played] = []
    for number, (brokers, some) in enumerate(groupby(scenarios, lambda one: one.brokers)):
        home = folder / f"arena-{number}"
        home.mkdir(parents=True)
        with Arena(home, brokers=brokers, seed=seed) as arena:
            for scenario in some:
                played = play_one(scenario, arena, scale=scale, seed=seed)
                results.append(played)
                on_played(played)
    return results


def play_one(scenario: Scenario, arena: Arena, *, scale: Scale, seed: int) -> Played:
    """Feed, hurt, heal, wait until all is quiet, and judge the account. Leaves the pipeline whole."""
    # Of its own name, so that it is the same when it is played alone.
    play = Play(arena=arena, dice=random.Random(f"{seed}/{scenario.name}"), scale=scale)
    began = time.monotonic()
    beginning = arena.begin()
    settle_s = 0.0
    try:
        with arena.feeding(rate=scenario.rate, poison=scenario.poison):
            time.sleep(LEAD_S)
            scenario.act(play)
            arena.heal()
            time.sleep(TRAIL_S)
        settle_s = arena.settle(scenario.settle_s)
    except (NotInTime, WorkersFailed, StackError, OSError) as error:
        play.broken.append(f"{type(error).__name__}: {error}")
        arena.heal()
        settle_s = _settle_anyway(arena, scenario)
    account = arena.read(beginning)
    verdict = check(account)
    _expect(play, verdict)
    if scenario.judge is not None and not play.broken:
        scenario.judge(play, account, verdict)
    injections = list(arena.injections.all)
    played = Played(
        name=scenario.name,
        faults=len(injections),
        kills=arena.injections.kills,
        seconds=time.monotonic() - began,
        settle_s=settle_s,
        verdict=verdict,
        bound=sum(one.bound(channel, account.entries) for one in injections for channel in _MAY_REPEAT),
        first_sends_s=first_sends(injections, account),
        kill_first_sends_s=first_sends((one for one in injections if one.killed), account),
        notes=play.notes,
        broken=play.broken,
        not_injected=play.not_injected,
    )
    if play.broken:
        _keep_history(arena.folder / f"{scenario.name}.history", played, injections, account)
    return played


_MAY_REPEAT = tuple(channel for channel in Channel if channel not in NEVER_TWICE)


def _settle_anyway(arena: Arena, scenario: Scenario) -> float:
    """The account of a scenario that went wrong is read all the same."""
    try:
        return arena.settle(scenario.settle_s)
    except NotInTime:
        return scenario.settle_s


def _expect(play: Play, verdict: Verdict) -> None:
    play.broken += [f"{count} x {breach}" for breach, count in verdict.breaches.items()]
    play.expect(verdict.notifications > 0, "nothing was fed, so that nothing was shown")
    for channel in NEVER_TWICE:
        count = verdict.told_twice[channel]
        play.expect(count == 0, f"{count} told twice by {channel}, which never happens there")


def _keep_history(path: Path, played: Played, injections: Iterable[Injection], account: Account) -> None:
    lines = [f"{played.name}: {played.seconds:.0f} s", *played.broken, "", "what was done:"]
    lines += [msgspec.json.encode(one).decode() for one in injections]
    if played.verdict is not None:
        lines += ["", "what was found:", str(played.verdict)]
        lines += [str(one) for one in played.verdict.violations[:MOST_VIOLATIONS]]
    lines += ["", f"entries: { {channel.value: len(some) for channel, some in account.entries.items()} }"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
