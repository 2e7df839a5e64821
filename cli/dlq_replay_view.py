"""What would a replay do, and what has it done? A row a subject, with the id under which it is told again."""

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from cli.dlq_plan import MAY_BE_TOLD, Kept, Plan, Replay
from cli.dlq_replay import Done
from cli.dlq_view import place, plain
from pipeline.deadletters import DeadLetter
from pipeline.notifications import replay_id

MAX_ROWS = 50


def plan_table(plan: Plan) -> Table:
    table = _replay_table("what a replay would do")
    for one in plan.replays[:MAX_ROWS]:
        table.add_row(*_replay_row(one), one.route.note)
    for kept in plan.kept[: max(0, MAX_ROWS - len(plan.replays))]:
        table.add_row(*_kept_row(kept))
    return table


def results_table(results: Sequence[Done]) -> Table:
    """What failed first: it may be more than is shown."""
    table = _replay_table("replayed")
    for done in sorted(results, key=lambda one: one.error is None)[:MAX_ROWS]:
        table.add_row(*_replay_row(done.replay), plain(f"failed: {done.error}") if done.error else "done")
    return table


def plan_counts(plan: Plan) -> Text:
    targets = Counter(one.route.target for one in plan.replays)
    reasons = Counter(kept.why for kept in plan.kept)
    rows = [f"{count} to {target}" for target, count in targets.most_common()]
    return plain("\n".join([*rows, *(f"{count} {why}" for why, count in reasons.most_common())]), keep="\n")


def preview(plan: Plan) -> Text:
    """The last lines of what is only said: how many of each reason, and how many may be told twice."""
    reasons = Counter(one.letters[0].trail.reason or "unknown" for one in plan.replays)
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    lines = [f"Nothing was done: --yes replays {len(plan.replays)}" + (f": {counted}." if counted else ".")]
    if told := sum(one.route.may_be_told for one in plan.replays):
        lines.append(f"{told} of them {MAY_BE_TOLD}.")
    return plain("\n".join(lines), keep="\n")


def _replay_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("dead letters", "reason", "origin", "to", "as", "note"):
        table.add_column(name, overflow="fold")
    return table


def _replay_row(one: Replay) -> tuple[str | Text, ...]:
    letter = one.letters[0]
    named = replay_id(letter.notification_id, one.number) if letter.notification_id else "it was"
    return (_ids(one.letters), plain(letter.trail.reason), place(letter), one.route.target, named)


def _kept_row(kept: Kept) -> tuple[str | Text, ...]:
    letter = kept.letters[0]
    return (_ids(kept.letters), plain(letter.trail.reason), place(letter), "", "", plain(kept.why))


def _ids(letters: Sequence[DeadLetter]) -> str:
    return " ".join(letter.id for letter in letters)
