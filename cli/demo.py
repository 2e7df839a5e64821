"""``herald demo``: the whole pipeline on this machine, a cargo feed through it, and an account at the end."""

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.live import Live

from cli.account import Account, TopicCounter, counted_topics, take_account, told
from cli.demo_report import Progress, print_account, print_progress, progress_table
from cli.guard import refuse_where_others_work
from cli.local import LocalPipeline, local_pipeline
from cli.publisher import Publisher
from cli.stack import failures, given_servers, prepare, shown_progress
from cli.supervisor import WorkersFailed
from settings import Role, Settings
from simulators.faults import CallFault, Faults, Refusal
from simulators.feed import Feed, TopicKind, journeys
from simulators.launch import Kind
from stack import Endpoints, Stack
from stack.endpoints import ServerName
from stack.lockfile import alone

HOME = Path(".herald/demo")
TIERS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
GRACE_S = 7.0
LOOK_EVERY_S = 0.5
SETTLE_TIMEOUT_S = 120.0
NOT_FOR_OTHERS = frozenset({"HERALD_API_KEYS", "HERALD_LOG_FORMAT"})

# A bad day at every provider, so that there is something to retry and something to refuse.
FAULTS = {
    Kind.SMS: Faults(latency_ms=50, call=CallFault.ERROR, rate=0.05, refuse=(Refusal(pattern="*00"),)),
    Kind.SMTP: Faults(latency_ms=5, refuse=(Refusal(pattern="*7-p3@*"),), call=CallFault.ERROR, rate=0.02),
    Kind.FCM: Faults(latency_ms=20, call=CallFault.THROTTLE, rate=0.02, refuse=(Refusal(pattern="*ff"),)),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    shipments: int
    seconds: float
    seed: int
    kill: tuple[str, ...]
    keep: bool


@click.command()
@click.option("--shipments", default=300, show_default=True, help="How many journeys to feed.")
@click.option("--seconds", default=15.0, show_default=True, help="How long the feed takes.")
@click.option("--seed", type=int, default=None, help="For the same feed again; default: a new one.")
@click.option(
    "--kill",
    multiple=True,
    type=click.Choice([role.value for role in Role]),
    default=(Role.SEND_SMS.value,),
    show_default=True,
    help="A worker to kill with SIGKILL in the middle; repeatable.",
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
def demo(shipments: int, seconds: float, seed: int | None, kill: tuple[str, ...], keep: bool) -> None:
    """Run the whole pipeline on real servers here, feed it, kill a worker, and account for every event."""
    plan = Plan(
        shipments=shipments,
        seconds=seconds,
        seed=seed if seed is not None else int(time.time()),
        kill=kill,
        keep=keep,
    )
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with failures(), alone(HOME / "lock", "a demo"), _servers() as endpoints:
            sys.exit(0 if _run(console, endpoints, plan) else 1)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        sys.exit(130)
    except (WorkersFailed, KafkaException, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _servers() -> Iterator[Endpoints]:
    """Fresh servers for this run alone, unless the environment names others."""
    home, given = HOME.absolute() / "stack", given_servers(Settings())
    if home.exists():
        Stack(home, given=given).down(wipe=True)
    with ExitStack() as exits:
        with shown_progress() as on_progress:
            endpoints = exits.enter_context(Stack(home, given=given, on_progress=on_progress).running())
        if ServerName.KAFKA in given:
            refuse_where_others_work(endpoints.kafka)
        yield endpoints


def _run(console: Console, endpoints: Endpoints, plan: Plan) -> bool:
    began = time.monotonic()
    console.print("schema by Liquibase …")
    prepare(endpoints)
    console.print(f"topics, providers and {len(Role)} workers …")
    overrides = {
        "HERALD_RETRY_TIERS_S": ",".join(f"{tier:g}" for tier in TIERS_S),
        "HERALD_SUBSCRIPTION_GRACE_S": f"{GRACE_S:g}",
    }
    with local_pipeline(endpoints, HOME.absolute() / "run", overrides=overrides, seed=plan.seed) as pipeline:
        console.print(f"ready after {time.monotonic() - began:.1f} s; logs in {HOME / 'run'}\n")
        for kind, faults in FAULTS.items():
            pipeline.simulators[kind].set_faults(faults)
        since = datetime.now(UTC)
        feed = journeys(plan.seed, plan.shipments, since, plan.seconds)
        closes = asyncio.run(_feed_and_account(console, pipeline, plan, feed, since))
        if plan.keep:
            print_ways_in(console, pipeline, feed)
            signal.pause()
    return closes


async def _feed_and_account(console: Console, pipeline: LocalPipeline, plan: Plan, feed: Feed, since: datetime) -> bool:
    counter = TopicCounter(pipeline.endpoints.kafka, counted_topics(TIERS_S))
    connection = await asyncpg.connect(pipeline.endpoints.postgres, timeout=10)
    publisher = Publisher(pipeline.endpoints.kafka, feed)
    try:
        publishing = asyncio.create_task(asyncio.to_thread(publisher.run))
        account = await _watch(console, pipeline, plan, publisher, connection, since)
        await publishing
        produced = counter.count()
    finally:
        publisher.stop()
        counter.close()
        await connection.close()
    return print_account(
        console, account, feed.expectation, produced, told(pipeline.simulators), pipeline.supervisor.restarts()
    )


async def _watch(
    console: Console,
    pipeline: LocalPipeline,
    plan: Plan,
    publisher: Publisher,
    connection: "asyncpg.Connection[asyncpg.Record]",
    since: datetime,
) -> Account:
    """Show progress, kill in the middle, return the account once it stands still as it should, or when time is up."""
    expected = publisher.feed.expectation
    deadline = time.monotonic() + plan.seconds + SETTLE_TIMEOUT_S
    to_kill = list(plan.kill)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            account = await take_account(connection, since)
            progress = Progress(published=publisher.published, to_publish=len(publisher.feed.records), account=account)
            if console.is_terminal:
                live.update(progress_table(progress, expected))
            else:
                print_progress(console, progress, expected)
            if to_kill and publisher.published >= len(publisher.feed.records) // 2:
                for name in to_kill:
                    console.print(f"[bold red]SIGKILL[/] {name} (pid {pipeline.supervisor.kill(name)})")
                to_kill = []
            done = publisher.done and account.events >= expected.events and not account.unaccounted
            if done or time.monotonic() > deadline or pipeline.supervisor.failure:
                return account
            await asyncio.sleep(LOOK_EVERY_S)


def print_ways_in(console: Console, pipeline: LocalPipeline, feed: Feed) -> None:
    """Lines to be copied as they are: none is broken, however narrow the terminal is."""
    shipment = next((one.key.decode() for one in feed.records if one.topic_kind is TopicKind.SUBSCRIPTIONS), "…")
    url = f"{pipeline.api_url}/v1/notifications?shipment_id={shipment}"
    lines = [
        "still running; what became of one of its shipments:",
        f"curl -H {shlex.quote(f'X-API-Key: {pipeline.api_key}')} {shlex.quote(url)}",
        "for the other commands, in another terminal, paste all of them:",
        # The demo's tiers are not the usual ones, nor are its providers: herald doctor and herald dlq need them.
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in pipeline.environment.items()
            if name not in NOT_FOR_OTHERS
        ),
        "Ctrl-C stops everything",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
