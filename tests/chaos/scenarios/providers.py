"""Providers fail in every way that they know: down, slow, silent after accepting, and answering nonsense."""

import time
from collections import Counter
from collections.abc import Callable

from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.halting import HaltCause
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.faults import CallFault, Faults, Refusal
from simulators.ledger import Result
from tests.chaos.account import Account
from tests.chaos.arena import BATCH, CIRCUIT_FAILURES, IN_FLIGHT, eventually
from tests.chaos.scenario import Play
from tests.chaos.verdict import Verdict

DOWN = Channel.PUSH
OTHERS = (Channel.SMS, Channel.EMAIL)
HALTED_WITHIN_S = 180.0
# Of the last 2,000 records of the worker more than this part may not be dead letters.
DEAD_LETTERS = 2_000
# On a machine that everything shares: what a p99 may move by itself, whatever the ratio says.
P99_SLACK_S = 0.1
P99_RATIO = 1.1
DRAIN_RATIO = 0.7


def one_down(play: Play) -> None:
    """One provider refuses every connection for ten minutes; beforehand, how fast its backlog drains is measured."""
    arena, notes = play.arena, play.notes
    time.sleep(5.0)
    notes["stopped_from_s"] = time.time()
    with arena.workers.stopped(f"send-{DOWN}"):
        time.sleep(play.scale.backlog_s)
    arena.workers.wait_ready(f"send-{DOWN}")
    notes["drain_from_s"] = time.time()
    time.sleep(play.scale.backlog_s)
    with arena.injecting(f"{DOWN} down", channels=(DOWN,), calm_s=30.0) as injection:
        arena.set_faults(DOWN, Faults(down=True))
        time.sleep(play.scale.provider_outage_s)
        arena.set_faults(DOWN)
    notes["down_from_s"], notes["down_to_s"] = injection.at_s, injection.ended_s
    time.sleep(15.0)


def nothing_spent_and_nobody_noticed(play: Play, account: Account, verdict: Verdict) -> None:
    """Attempts of the whole outage are those that opened the circuit; the others' p99 and the drain are as before."""
    notes = play.notes
    from_s, to_s = notes.pop("down_from_s"), notes.pop("down_to_s")
    stopped_s, drain_s = notes.pop("stopped_from_s"), notes.pop("drain_from_s")
    spent = [
        wait
        for wait in account.waiting
        if wait.channel is DOWN and wait.attempts > 0 and from_s <= wait.place.at_ms / 1000 <= to_s
    ]
    notes["attempts_spent"] = len(spent)
    # Calls that were under way together: those that opened it, and a half of them that ended at the same moment.
    most = 2 * CIRCUIT_FAILURES * BATCH
    play.expect(len(spent) <= most, f"{len(spent)} attempts spent in the outage, {most} would have opened the circuit")
    late = [wait for wait in spent if wait.place.at_ms / 1000 > from_s + 10.0]
    notes["attempts_while_open"] = len(late)
    play.expect(not late, f"{len(late)} attempts spent while the circuit was open")
    ended = Counter(word.outcome.status for word in account.words if word.outcome.channel is DOWN)
    # Calls were under way when the connections broke.
    notes["unconfirmed"] = in_doubt = ended.pop(Status.UNCONFIRMED, 0)
    play.expect(in_doubt <= 2 * IN_FLIGHT, f"{in_doubt} of {DOWN} are unconfirmed, {2 * IN_FLIGHT} were under way")
    play.expect(set(ended) <= {Status.SENT}, f"of {DOWN} some did not end as sent: {dict(ended)}")
    for channel in OTHERS:
        before, during = (
            _p99(account, channel, account_from_s, account_to_s)
            for account_from_s, account_to_s in ((0.0, from_s), (from_s, to_s))
        )
        notes[f"{channel}_p99_before_s"], notes[f"{channel}_p99_during_s"] = round(before, 3), round(during, 3)
        play.expect(
            during <= max(before * P99_RATIO, before + P99_SLACK_S),
            f"{channel} noticed: p99 {before:.2f} s before, {during:.2f} s during the outage",
        )
    full = _drain_rate(account, drain_s, stopped_s, drain_s)
    after = _drain_rate(account, to_s, from_s, to_s)
    notes["drain_full_per_s"], notes["drain_after_per_s"] = round(full, 1), round(after, 1)
    play.expect(after >= DRAIN_RATIO * full, f"the backlog drained at {after:.0f}/s, at {full:.0f}/s without a fault")


def _p99(account: Account, channel: Channel, from_s: float, to_s: float) -> float:
    """Seconds from created to ended, of what was created in between."""
    took = sorted(
        (word.outcome.finished_at - word.outcome.created_at).total_seconds()
        for word in account.words
        if word.outcome.channel is channel and from_s <= word.outcome.created_at.timestamp() < to_s
    )
    return took[int(0.99 * (len(took) - 1))] if took else 0.0


def _drain_rate(account: Account, since_s: float, born_from_s: float, born_to_s: float) -> float:
    """Messages a second, of those that had piled up, from the first to the one before the last tenth."""
    piled_up = {
        word.outcome.notification_id
        for word in account.words
        if word.outcome.channel is DOWN and born_from_s <= word.outcome.created_at.timestamp() < born_to_s
    }
    times = sorted(
        entry.at
        for entry in account.entries[DOWN]
        if entry.id in piled_up and entry.result is Result.ACCEPTED and entry.at >= since_s
    )
    if len(times) < 10:
        return 0.0
    most = times[: int(0.9 * len(times))]
    return len(most) / max(most[-1] - most[0], 0.001)


def all_down(play: Play) -> None:
    # Connections break with calls under way.
    with play.arena.injecting("all providers down", channels=tuple(Channel), in_flight=IN_FLIGHT, calm_s=30.0):
        for channel in Channel:
            play.arena.set_faults(channel, Faults(down=True))
        time.sleep(min(play.scale.provider_outage_s, 60.0))
        for channel in Channel:
            play.arena.set_faults(channel)
    time.sleep(12.0)


def refuses_everybody(play: Play) -> None:
    """Every number is busy until attempts run out: the role halts before all that waits has become dead letters."""
    worker = f"send-{Channel.SMS}"
    play.arena.set_faults(Channel.SMS, Faults(refuse=(Refusal(pattern="*", retryable=True),)))
    eventually(lambda: _has_halted(play, worker), "the role to halt", within_s=HALTED_WITHIN_S)
    with play.arena.injecting("halt", channels=(Channel.SMS,), in_flight=IN_FLIGHT, calm_s=60.0):
        play.arena.set_faults(Channel.SMS)
        code = play.arena.workers.terminate(worker)
        play.expect(code == 0, f"a halted worker ended with {code} on SIGTERM")
        play.arena.workers.wait_ready(worker)


def _has_halted(play: Play, worker: str) -> bool:
    try:
        return play.arena.workers.metrics(worker).total("herald_halted", cause=HaltCause.DEAD_LETTERS) == 1
    except OSError:
        return False


def not_all_of_it_died(play: Play, account: Account, verdict: Verdict) -> None:
    """No more than the limit looks at, and what had been begun by then."""
    dead = sum(letter.reason == DeadLetterReason.RETRIES_EXHAUSTED for letter in account.letters)
    play.notes["dead_letters"] = dead
    play.expect(dead <= DEAD_LETTERS + IN_FLIGHT, f"{dead} dead letters, when {DEAD_LETTERS} are enough to halt")


def failing(name: str, faults: Faults) -> Callable[[Play], None]:
    """Every provider at once, for a while; where it accepts and does not say so, the channel's policy may repeat."""

    def act(play: Play) -> None:
        with play.arena.injecting(name, channels=tuple(Channel), calm_s=60.0) as injection:
            injection.unanswered = True
            for channel in Channel:
                play.arena.set_faults(channel, faults)
            time.sleep(play.scale.provider_fault_s)
            for channel in Channel:
                play.arena.set_faults(channel)
        time.sleep(5.0)

    return act


KINDS = {
    "errors-30": Faults(call=CallFault.ERROR, rate=0.3),
    "accept-then-timeout": Faults(call=CallFault.ACCEPT_THEN_TIMEOUT, rate=0.5),
    "accept-then-reset": Faults(call=CallFault.ACCEPT_THEN_RESET, rate=0.5),
    "half-a-batch": Faults(call=CallFault.ACCEPT_THEN_HALF, rate=0.5),
    "wrong-ids": Faults(call=CallFault.ACCEPT_THEN_WRONG_IDS, rate=0.5),
    "garbage": Faults(call=CallFault.ACCEPT_THEN_GARBAGE, rate=0.5),
    "slow-60-s": Faults(latency_ms=60_000.0),
    "storm-of-429": Faults(call=CallFault.THROTTLE, rate=0.9, retry_after_s=1.0),
}
