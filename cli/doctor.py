"""``herald doctor``: what is wrong, and what is to be done, on one screen."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cli import workers_file
from cli.dlq_view import plain
from cli.doctor_checks import TIMEOUT_S, Check, checks
from cli.doctor_kafka import CannotAsk
from cli.workers_file import WorkerEntry
from observability.redaction import redact_text
from pipeline.diagnosis import Finding, Level, is_healthy
from settings import Settings

# Where `herald run` and `herald demo` start their workers, seen from where those are started.
FOLDERS = (Path(".herald/run"), Path(".herald/demo/run"))
# On top of what each check keeps to by itself, which gives the better answer.
GRACE_S = 4.0

WORST_FIRST = (Level.WRONG, Level.WARNING, Level.OK)
STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "bold red"}


@click.command()
@click.option("--worker", "urls", multiple=True, metavar="URL", help="Where a worker serves its metrics; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def doctor(urls: tuple[str, ...], as_json: bool) -> None:
    """Look at everything at once and say what is wrong, and what to do.

    Without --worker, the workers are asked that `herald run` or `herald demo` has started from this folder. Exit code
    0 where nothing is wrong (warnings do not count), 1 where something is, 2 where the settings are.
    """
    settings = Settings()
    workers = [WorkerEntry(_name_of(url), url, "") for url in urls] or _local_workers()
    findings = asyncio.run(examine(list(checks(settings, workers))))
    if not workers:
        advice = "--worker URL, for each worker whose circuits, halts and readiness matter"
        unknown = "none was asked: whether one has halted is not known"
        findings.append(Finding(Level.WARNING, "workers", unknown, "", advice))
    findings.sort(key=lambda one: WORST_FIRST.index(one.level))
    healthy = is_healthy(findings)
    if as_json:
        click.echo(msgspec.json.encode({"healthy": healthy, "findings": [asdict(one) for one in findings]}))
    else:
        Console().print(findings_table(findings))
    if not healthy:
        raise SystemExit(1)


def _name_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(f"{url!r} is no http URL", param_hint="--worker")
    return parts.netloc.rpartition("@")[2]


def _local_workers() -> list[WorkerEntry]:
    try:
        return [one for folder in FOLDERS for one in workers_file.read(folder)]
    except ValueError as error:
        raise click.ClickException(str(error)) from error


async def examine(some: Sequence[Check]) -> list[Finding]:
    """All of them side by side, each within its time; in their order."""
    # A thread each: the loop's own pool is as small as the machine, and the last would wait for the first to time out.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(some)))
    answers = await asyncio.gather(*map(_ask, some))
    silent = {check.name for check, answer in zip(some, answers, strict=True) if isinstance(answer, str)}
    findings: list[Finding] = []
    for check, answer in zip(some, answers, strict=True):
        if not isinstance(answer, str):
            findings += answer
        elif check.needs not in silent:
            unknown = dict.fromkeys(one.name for one in some if one.needs == check.name and one.name in silent)
            what = answer + (f"; so nothing is known of: {', '.join(unknown)}" if unknown else "")
            findings.append(Finding(check.level, check.name, what, "", check.advice))
    return findings


async def _ask(check: Check) -> list[Finding] | str:
    """What the check finds, or why it has no answer."""
    try:
        async with asyncio.timeout(TIMEOUT_S + GRACE_S):
            return await check.ask()
    except CannotAsk as error:
        return redact_text(str(error))
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except Exception as bug:  # noqa: BLE001 -- it is told like the rest: one broken check must not hide the others
        return redact_text(f"the check failed: {type(bug).__name__}: {bug}")


def findings_table(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("state", no_wrap=True)
    table.add_column("check", no_wrap=True)
    for name in ("what", "figure", "do"):
        table.add_column(name, overflow="fold")
    for one in findings:
        cells = (plain(text) for text in (one.check, one.what, one.figure, one.advice))
        table.add_row(f"[{STYLES[one.level]}]{one.level}[/]", *cells)
    return table
