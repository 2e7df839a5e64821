"""How does a demo look on a terminal? A table that moves while it runs, and the account when it ends."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

import topics
from cli.account import Account
from pipeline.ledger import Disposition
from simulators.feed import Expectation
from simulators.launch import Kind
from simulators.ledger import Result, Summary

REASONS_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Progress:
    published: int
    to_publish: int
    account: Account


def progress_table(progress: Progress, expected: Expectation) -> Table:
    account = progress.account
    table = Table(title="cargo feed", show_header=False, min_width=60)
    table.add_row("published", _bar(progress.published, progress.to_publish))
    table.add_row("events accounted for", _bar(account.events, expected.events))
    table.add_row("notifications ended", _bar(account.ended, max(account.notifications, expected.notifications)))
    by_status: Counter[str] = Counter()
    for (_, status), count in account.outcomes.items():
        by_status[status] += count
    table.add_row("  by status", "  ".join(f"{status} {count}" for status, count in sorted(by_status.items())))
    table.add_row("on their way", str(account.unaccounted))
    return table


def print_progress(console: Console, progress: Progress, expected: Expectation) -> None:
    account = progress.account
    console.print(
        f"published {progress.published}/{progress.to_publish}  events {account.events}/{expected.events}  "
        f"ended {account.ended}/{account.notifications}  on their way {account.unaccounted}"
    )


def print_account(
    console: Console,
    account: Account,
    expected: Expectation,
    produced: Counter[str],
    providers: Mapping[Kind, Summary],
    restarts: Mapping[str, int],
) -> bool:
    """Whether everything that was fed is accounted for, once."""
    console.print(_events(account, expected))
    console.print(_refusals(account))
    console.print(_outcomes(account))
    checks = _checks(account, expected, providers)
    console.print(_summary(account, produced, providers, restarts))
    for text, holds in checks:
        console.print(f"  [{'green' if holds else 'bold red'}]{'✓' if holds else '✗'}[/] {text}")
    closes = all(holds for _, holds in checks)
    unaccounted = account.unaccounted + abs(expected.events - account.events)
    console.print(f"\n[bold {'green' if closes else 'red'}]unaccounted: {unaccounted}[/]")
    return closes


def _events(account: Account, expected: Expectation) -> Table:
    table = Table("events", "fed", "accounted for", title="what went in")
    fed = {
        Disposition.ACCEPTED: expected.accepted,
        Disposition.REPEATED: expected.repeated,
        Disposition.REFUSED: expected.refused.total(),
        Disposition.UNSUBSCRIBED: expected.unsubscribed,
        Disposition.SILENT: expected.silent,
        Disposition.RETRACTED: expected.retracted,
    }
    for disposition, count in fed.items():
        found = account.dispositions[disposition]
        table.add_row(disposition, str(count), f"[{'green' if found == count else 'red'}]{found}[/]")
    table.add_section()
    table.add_row("all", str(expected.events), str(account.events))
    return table


def _refusals(account: Account) -> Table:
    table = Table("events", "reason", title="refused: in the dead letters")
    for reason, count in list(account.refusals.items())[:REASONS_SHOWN]:
        table.add_row(str(count), reason)
    left = sum(list(account.refusals.values())[REASONS_SHOWN:])
    if left:
        table.add_row(str(left), "for other reasons")
    return table


def _outcomes(account: Account) -> Table:
    channels = sorted({channel for channel, _ in account.outcomes})
    table = Table("status", *channels, "all", title="how notifications ended")
    for status in sorted({status for _, status in account.outcomes}):
        counts = [account.outcomes[channel, status] for channel in channels]
        table.add_row(status, *map(str, counts), str(sum(counts)))
    table.add_section()
    by_channel = [sum(n for (one, _), n in account.outcomes.items() if one == channel) for channel in channels]
    table.add_row("all", *map(str, by_channel), str(account.ended))
    return table


def _summary(
    account: Account, produced: Counter[str], providers: Mapping[Kind, Summary], restarts: Mapping[str, int]
) -> Table:
    retries = sum(count for name, count in produced.items() if name != topics.DLQ)
    table = Table(show_header=False, title="account")
    table.add_row("notifications", str(account.notifications))
    table.add_row("waits in a retry tier", str(retries))
    table.add_row("dead letters", str(produced[topics.DLQ]))
    table.add_row("workers started again", ", ".join(f"{name} ×{n}" for name, n in restarts.items() if n) or "none")
    for kind, summary in providers.items():
        refused = summary.results.get(Result.REFUSED, 0)
        table.add_row(
            f"{kind} provider", f"{summary.distinct} told, {refused} refused, [bold]{summary.duplicates} told twice[/]"
        )
    return table


def _checks(account: Account, expected: Expectation, providers: Mapping[Kind, Summary]) -> list[tuple[str, bool]]:
    sent = sum(count for (_, status), count in account.outcomes.items() if status == "sent")
    told = sum(summary.distinct for summary in providers.values())
    return [
        (f"every event is in the ledger ({account.events} of {expected.events})", account.events == expected.events),
        (
            f"every notification was made ({account.notifications} of {expected.notifications})",
            account.notifications == expected.notifications,
        ),
        (
            f"every notification has one outcome ({account.ended} of {account.notifications})",
            account.ended == account.notifications and not account.unaccounted,
        ),
        (f"what is called sent was told ({sent} sent, {told} told by the providers' ledgers)", told >= sent),
    ]


def _bar(done: int, total: int, width: int = 30) -> str:
    part = min(1.0, done / total) if total else 0.0
    filled = round(part * width)
    return f"[green]{'━' * filled}[/][dim]{'━' * (width - filled)}[/] {done}/{total}"
