"""What does Kafka say of itself, our topics, our groups and their lag? For `herald doctor`."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    ConsumerGroupDescription,
    ListOffsetsResultInfo,
    OffsetSpec,
    TopicMetadata,
)

from cli.group_offsets import committed
from cli.kafka import settings_of
from pipeline.symptoms import GroupFacts, LagFacts, LostFacts, TopicFacts
from topics import Topic, instance_of

Place = tuple[str, int]

POLL_S = 0.1
GIVE_UP_S = 3.0
MIN_ISR = "min.insync.replicas"


class CannotAsk(Exception):
    """Says why, for people."""


@contextmanager
def asking(kafka: str) -> Iterator[None]:
    """What Kafka's client raises becomes CannotAsk."""
    try:
        yield
    except TimeoutError as error:
        raise CannotAsk(f"Kafka at {kafka}: no answer in time") from error
    except KafkaException as error:
        raise CannotAsk(f"Kafka at {kafka}: {error.args[0].str()}") from error


class KafkaProbe:
    """For one check: all its calls together end within ``timeout_s``. Every method blocks, and raises CannotAsk."""

    def __init__(self, kafka: str, timeout_s: float) -> None:
        self._kafka = kafka
        self._deadline = time.monotonic() + timeout_s
        self._admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})

    def _left_s(self) -> float:
        return max(POLL_S, self._deadline - time.monotonic())

    def _wait_s(self) -> float:
        """A request that is given up by us, before it gives up by itself, would outlive its client."""
        return self._left_s() + GIVE_UP_S

    def brokers(self) -> int:
        with asking(self._kafka):
            return len(self._admin.list_topics(timeout=self._left_s()).brokers)

    def topics(self, wanted: Collection[Topic]) -> list[TopicFacts]:
        with asking(self._kafka):
            there = self._admin.list_topics(timeout=self._left_s()).topics
            present = [one.name for one in wanted if one.name in there]
            resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in present]
            answers = self._admin.describe_configs(resources, request_timeout=self._left_s()) if resources else {}
            settings = {one.name: settings_of(answer.result(self._wait_s())) for one, answer in answers.items()}
        return [_topic_facts(one, there.get(one.name), settings.get(one.name, {})) for one in wanted]

    def groups(self, roles: Mapping[str, str], not_needed: Collection[str]) -> list[GroupFacts]:
        """``roles`` by their groups; of those that are ``not_needed``, having no worker is no fault."""
        with asking(self._kafka):
            answers = self._admin.describe_consumer_groups(list(roles), request_timeout=self._left_s())
            found = {group: answer.result(self._wait_s()) for group, answer in answers.items()}
        return [_group_facts(role, found[group], role not in not_needed) for group, role in roles.items()]

    def lags(self, group: str, topics: Collection[str], urgent: Collection[str], now_ms: int) -> list[LagFacts]:
        """What ``group`` has not committed of each topic that holds something for it."""
        lags, heads = self._behind(group, topics)
        facts = []
        for topic in topics:
            records = sum(count for (name, _), count in lags.items() if name == topic)
            if not records:
                continue
            ages = [_age_s(heads.get(place), now_ms) for place in lags if place[0] == topic]
            oldest_s = max((age for age in ages if age is not None), default=None)
            facts.append(LagFacts(topic, records, oldest_s, topic in urgent))
        return facts

    def lost(self, reads: Mapping[str, Collection[str]]) -> list[LostFacts]:
        """Where a group, by its name in ``reads`` with the topics that it reads, has committed more than there is."""
        with asking(self._kafka):
            there = self._admin.list_topics(timeout=self._left_s()).topics
            places = {(name, number) for name, topic in there.items() for number in topic.partitions}
            reached = {
                (group, place): offset
                for group, names in reads.items()
                for place, offset in self._committed(group, {one for one in places if one[0] in names}).items()
            }
            # After the offsets: what is there only grows.
            ends = self._offsets({place for _, place in reached}, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return [
            LostFacts(group, *place, committed=offset, end=ends[place])
            for (group, place), offset in sorted(reached.items())
            if offset > ends[place]
        ]

    def waiting(self, group: str, tiers: Mapping[str, str]) -> tuple[dict[str, int], dict[str, list[Message]]]:
        """For each topic of ``tiers``: how many records wait in it, and those at the heads of its partitions."""
        lags, heads = self._behind(group, tiers)
        counts: dict[str, int] = dict.fromkeys(tiers, 0)
        first: dict[str, list[Message]] = defaultdict(list)
        for place, records in lags.items():
            counts[place[0]] += records
            if place in heads:
                first[place[0]].append(heads[place])
        return counts, first

    def _behind(self, group: str, topics: Collection[str]) -> tuple[dict[Place, int], dict[Place, Message]]:
        """How many records of each partition are not committed, where there are any, and the first of them."""
        with asking(self._kafka):
            there = self._admin.list_topics(timeout=self._left_s()).topics
            places = [(name, number) for name in topics if name in there for number in there[name].partitions]
            reached = self._committed(group, places)
            starts = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            ends = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            nexts = {place: max(reached.get(place, 0), starts[place]) for place in places}
            lags = {place: ends[place] - nexts[place] for place in places if ends[place] > nexts[place]}
            heads = self._heads({place: nexts[place] for place in lags})
        # Where there is no record up to the end, what lies there is compacted away, or a transaction's marker.
        return {place: lag for place, lag in lags.items() if heads.get(place, True) is not None}, {
            place: message for place, message in heads.items() if message is not None
        }

    def _committed(self, group: str, places: Collection[Place]) -> Mapping[Place, int]:
        return committed(self._kafka, group, places, self._left_s())

    def _offsets(self, places: Collection[Place], spec: OffsetSpec) -> dict[Place, int]:
        if not places:
            return {}
        asked = self._admin.list_offsets(
            {TopicPartition(*place): spec for place in places}, request_timeout=self._left_s()
        )
        answers = {(one.topic, one.partition): answer for one, answer in asked.items()}
        return {
            place: cast(ListOffsetsResultInfo, answer.result(self._wait_s())).offset
            for place, answer in answers.items()
        }

    def _heads(self, nexts: Mapping[Place, int]) -> dict[Place, Message | None]:
        """The first record from each offset on, None where there is none; what did not come in time is left out."""
        heads: dict[Place, Message | None] = {}
        if not nexts:
            return heads
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": "herald-doctor",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 64 << 10,  # a record that is larger comes all the same
                "queued.max.messages.kbytes": 16_384,
                "log_level": 0,
            }
        )
        try:
            consumer.assign([TopicPartition(*place, offset) for place, offset in nexts.items()])
            while len(heads) < len(nexts) and time.monotonic() < self._deadline:
                for message in consumer.consume(len(nexts), POLL_S):
                    place = (cast(str, message.topic()), cast(int, message.partition()))
                    if place not in heads:
                        heads[place] = _record(message)
                        consumer.pause([TopicPartition(*place)])
        finally:
            consumer.close()
        return heads


def _record(message: Message) -> Message | None:
    """None for the end of a partition. Raises KafkaException."""
    error = message.error()
    if error is None:
        return message
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    raise KafkaException(error)


def _age_s(head: Message | None, now_ms: int) -> float | None:
    return None if head is None else max(0.0, (now_ms - head.timestamp()[1]) / 1000)


def _topic_facts(topic: Topic, there: TopicMetadata | None, settings: Mapping[str, str]) -> TopicFacts:
    if there is None:
        return TopicFacts(topic.name, 0)
    some = there.partitions.values()
    min_isr = int(settings[MIN_ISR])
    return TopicFacts(
        topic.name,
        len(some),
        without_leader=sum(one.leader < 0 for one in some),
        under_replicated=sum(len(one.isrs) < len(one.replicas) for one in some),
        below_min_isr=sum(len(one.isrs) < min(min_isr, len(one.replicas)) for one in some),
        misfits=tuple(map(str, topic.misfits(settings))),
    )


def _group_facts(role: str, there: ConsumerGroupDescription, needed: bool) -> GroupFacts:
    instances = frozenset(instance_of(one.group_instance_id) for one in there.members if one.group_instance_id)
    return GroupFacts(role, len(there.members), _word(cast(ConsumerGroupState, there.state)), needed, instances)


def _word(state: ConsumerGroupState) -> str:
    return state.name.lower().replace("_", " ")
