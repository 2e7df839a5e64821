"""Which checks are there? Each asks one thing, and hands what it was told to `pipeline.diagnosis`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

from confluent_kafka import Message

import topics
from cli import doctor_probes as probes
from cli.dlq_reader import CannotRead, scan
from cli.doctor_kafka import CannotAsk, KafkaProbe
from cli.doctor_probes import Address
from cli.workers_file import WorkerEntry
from pipeline import diagnosis, symptoms
from pipeline import trail as trails
from pipeline.deadletters import Place
from pipeline.diagnosis import Finding, Level
from pipeline.dlq_marks import histories
from pipeline.errors import InvalidInput
from pipeline.notifications import Channel, Lane
from pipeline.symptoms import DeadLetterFacts
from settings import Role, Settings

TIMEOUT_S = 10.0
KAFKA, POSTGRES = "Kafka", "Postgres"

RETRY_GROUP = topics.group(Role.RETRY)
URGENT = frozenset(topics.lane(channel, Lane.URGENT) for channel in Channel)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """``ask`` raises CannotAsk where there is no answer; that is then a finding of ``level``, unless the check that it
    ``needs`` has none either.
    """

    name: str
    ask: Callable[[], Awaitable[list[Finding]]]
    level: Level = Level.WRONG
    advice: str = ""
    needs: str = ""


def checks(settings: Settings, workers: Sequence[WorkerEntry]) -> Iterator[Check]:
    ask = _Asker(settings)
    warning = Level.WARNING
    yield Check(name=KAFKA, ask=ask.kafka, advice="without it nothing moves, and nothing is lost")
    yield Check(name="topics", ask=ask.topics, needs=KAFKA)
    yield Check(name="groups", ask=ask.groups, needs=KAFKA)
    for group, read in topics.read_by(settings.retry_tiers_s).items():
        if group != RETRY_GROUP:  # what lies in a tier is meant to wait
            yield Check(name="lag", ask=partial(ask.lag, group, read), needs=KAFKA)
    yield Check(name="offsets", ask=ask.offsets, needs=KAFKA)
    yield Check(name="retries", ask=ask.retries, needs=KAFKA)
    yield Check(name="dead letters", ask=ask.dead_letters, level=warning, needs=KAFKA)
    sending = "sending goes on; outcomes wait in Kafka and the API knows older ones"
    yield Check(name=POSTGRES, ask=ask.schema, advice=sending)
    yield Check(name="partitions", ask=ask.partitions, level=warning, advice="herald migrate", needs=POSTGRES)
    yield Check(name="account", ask=ask.account, level=warning, needs=POSTGRES)
    yield Check(name="Redis", ask=ask.redis, level=warning, advice="nothing depends on it: the API is slower")
    for name, address in providers(settings).items():
        advice = f"{address} cannot be reached from here: what it is to tell waits, or is tried again"
        yield Check(name=name, ask=partial(ask.provider, name, address), level=warning, advice=advice)
    folders = [settings.data_dir, *(Path(one.data_dir) for one in workers if one.data_dir)]
    yield Check(name="disk", ask=partial(ask.disks, folders))
    for one in workers:
        yield Check(name=one.name, ask=partial(ask.worker, one), advice="see its log; its supervisor starts it again")


def groups_of_roles() -> dict[str, Role]:
    return {topics.group(role): role for role in Role if role is not Role.API}


def providers(settings: Settings) -> dict[str, Address]:
    return {
        "SMS provider": probes.address_of(settings.sms_url),
        "mail server": Address(settings.smtp_host, settings.smtp_port),
        "FCM": probes.address_of(settings.fcm_url),
    }


class _Asker:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _kafka(self) -> KafkaProbe:
        return KafkaProbe(self._settings.kafka, TIMEOUT_S)

    async def kafka(self) -> list[Finding]:
        brokers = await asyncio.to_thread(self._kafka().brokers)
        return [Finding(Level.OK, KAFKA, "answers", f"brokers: {brokers}")]

    async def topics(self) -> list[Finding]:
        settings = self._settings
        wanted = topics.all_topics(settings.retry_tiers_s, settings.seen_for_s)
        return diagnosis.judge_topics(await asyncio.to_thread(self._kafka().topics, wanted), settings.partitions)

    async def groups(self) -> list[Finding]:
        # Push cannot be set up without the key file, and many do without push.
        not_needed = () if self._settings.fcm_credentials else (Role.SEND_PUSH,)
        return diagnosis.judge_groups(await asyncio.to_thread(self._kafka().groups, groups_of_roles(), not_needed))

    async def lag(self, group: str, read: Sequence[str]) -> list[Finding]:
        return diagnosis.judge_lags(group, await asyncio.to_thread(self._kafka().lags, group, read, URGENT, _now_ms()))

    async def offsets(self) -> list[Finding]:
        reads = topics.read_by(self._settings.retry_tiers_s)
        return diagnosis.judge_offsets(await asyncio.to_thread(self._kafka().lost, reads), len(reads))

    async def retries(self) -> list[Finding]:
        tiers = {topics.retry(tier_s): topics.tier_name(tier_s) for tier_s in self._settings.retry_tiers_s}
        counts, heads = await asyncio.to_thread(self._kafka().waiting, RETRY_GROUP, tiers)
        now_ms = _now_ms()
        return diagnosis.judge_tiers(
            [
                symptoms.tier_facts(tier, counts[topic], [_due_ms(head) for head in heads.get(topic, ())], now_ms)
                for topic, tier in tiers.items()
            ]
        )

    async def dead_letters(self) -> list[Finding]:
        facts = await asyncio.to_thread(_dead_letters, self._settings.kafka)
        return diagnosis.judge_dead_letters(facts)

    async def schema(self) -> list[Finding]:
        applied = await probes.applied_changesets(self._settings.postgres, TIMEOUT_S)
        return diagnosis.judge_schema(probes.known_changesets(), applied)

    async def partitions(self) -> list[Finding]:
        facts = await probes.partitions(self._settings.postgres, TIMEOUT_S, datetime.now(UTC))
        return diagnosis.judge_partitions(facts)

    async def account(self) -> list[Finding]:
        since = datetime.now(UTC) - timedelta(days=diagnosis.ACCOUNT_DAYS)
        count, oldest_s = await probes.unaccounted(self._settings.postgres, TIMEOUT_S, since)
        return diagnosis.judge_account(count, oldest_s, self._settings.retry_total_s)

    async def redis(self) -> list[Finding]:
        await probes.ping_redis(self._settings.redis, TIMEOUT_S)
        return [Finding(Level.OK, "Redis", "answers")]

    async def provider(self, name: str, address: Address) -> list[Finding]:
        await probes.reach(address, TIMEOUT_S)
        return [Finding(Level.OK, name, "can be reached", str(address))]

    async def disks(self, folders: Sequence[Path]) -> list[Finding]:
        found = await asyncio.to_thread(probes.disks, folders)
        return [finding for disk in found for finding in diagnosis.judge_disk(*disk)]

    async def worker(self, entry: WorkerEntry) -> list[Finding]:
        facts = await probes.ask_worker(entry.name, entry.url, TIMEOUT_S)
        return diagnosis.judge_worker(replace(facts, pid=entry.pid))


def _dead_letters(kafka: str) -> DeadLetterFacts:
    places: list[Place] = []
    try:
        found = scan(kafka, TIMEOUT_S, lambda letter: places.append(letter.place), within_s=TIMEOUT_S)
    except CannotRead as error:
        raise CannotAsk(str(error)) from error
    return symptoms.dead_letter_facts(places, histories(found.marks), _now_ms())


def _due_ms(head: Message) -> int:
    """What cannot be read is returned as soon as it comes."""
    came_ms = head.timestamp()[1]
    try:
        return trails.read(cast(list[tuple[str, bytes | None]], head.headers() or []), _now_ms()).due_ms or came_ms
    except InvalidInput:
        return came_ms


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
