"""Names of topics: one for each purpose, no two alike."""

import re

import pytest

import topics
from pipeline.notifications import Channel, Lane

TIERS_S = (0.25, 1.0, 30.0, 3_600.0)


@pytest.mark.parametrize(
    ("delay_s", "name"),
    [
        (30.0, "herald.retry.30s.v1"),
        (3_600.0, "herald.retry.3600s.v1"),
        (0.25, "herald.retry.250ms.v1"),
        (1.5, "herald.retry.1500ms.v1"),
        (0.1 + 0.2, "herald.retry.300ms.v1"),
    ],
)
def test_a_tier_is_named_by_its_delay(delay_s: float, name: str) -> None:
    assert topics.retry(delay_s) == name


def test_every_lane_has_a_topic_of_its_own() -> None:
    assert topics.lane(Channel.SMS, Lane.URGENT) == "herald.sms.urgent.v1"
    assert len({topics.lane(channel, lane) for channel in Channel for lane in Lane}) == len(Channel) * len(Lane)


def test_all_topics_are_there_once() -> None:
    names = [topic.name for topic in topics.all_topics(TIERS_S, seen_for_s=60.0)]
    assert len(names) == len(set(names))
    wanted = {topics.STATUS, topics.SUBSCRIPTIONS, topics.STATUS_AGAIN, topics.LEDGER, topics.OUTCOMES, topics.DLQ}
    wanted |= {topics.retry(tier) for tier in TIERS_S}
    wanted |= {topics.lane(channel, lane) for channel in Channel for lane in Lane}
    assert wanted <= set(names)


def test_every_topic_but_the_dead_letters_is_read() -> None:
    read = {topic for some in topics.read_by(TIERS_S).values() for topic in some}
    every = {topic.name for topic in topics.all_topics(TIERS_S, seen_for_s=60.0)}
    assert read == {one for one in every if not one.endswith("-changelog")} - {topics.DLQ}


def test_a_static_member_is_another_one_where_it_has_to_do_with_other_topics() -> None:
    member = topics.static_member("sink-0", ["a", "b"], 12)
    assert topics.static_member("sink-0", ["b", "a"], 12) == member
    others = [("sink-0", ["a"], 12), ("sink-0", ["a", "b"], 4), ("sink-1", ["a", "b"], 12)]
    assert member not in [topics.static_member(*other) for other in others]
    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", member), "Kafka takes nothing else"
    assert topics.instance_of(member) == "sink-0"
    assert topics.instance_of("somebody-elses") == "somebody-elses"


def test_subscriptions_are_kept_for_ever_and_dead_letters_the_longest_of_the_rest() -> None:
    by_name = {topic.name: topic.config for topic in topics.all_topics(TIERS_S, seen_for_s=60.0)}
    assert by_name[topics.SUBSCRIPTIONS]["cleanup.policy"] == "compact"
    assert "retention.ms" not in by_name[topics.SUBSCRIPTIONS]
    kept_ms = {name: int(config["retention.ms"]) for name, config in by_name.items() if "retention.ms" in config}
    assert max(kept_ms, key=kept_ms.__getitem__) == topics.DLQ


def test_seen_events_are_forgotten_when_settings_say_so() -> None:
    by_name = {topic.name: topic.config for topic in topics.all_topics(TIERS_S, seen_for_s=60.0)}
    assert by_name["herald-enrich-seen-changelog"]["retention.ms"] == "60000"


def test_keys_lie_where_kafkas_own_partitioner_puts_them() -> None:
    """Known values of Java's `Utils.murmur2` for 4 partitions, as kafka-clients' tests have the hash."""
    assert topics.partition_of(b"21", 1 << 31) == -973932308 & 0x7FFFFFFF
    assert topics.partition_of(b"foobar", 1 << 31) == -790332482 & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("setting", "now", "fits"),
    [
        ("retention.ms", "604800000", True),
        ("retention.ms", "604799999", False),
        ("retention.ms", "900000000", True),
        ("retention.ms", "-1", True),
        ("max.message.bytes", "1048588", False),
        ("message.timestamp.type", "CreateTime", False),
    ],
)
def test_a_topic_that_keeps_and_takes_enough_serves(setting: str, now: str, fits: bool) -> None:
    status = next(one for one in topics.all_topics(TIERS_S, 60.0) if one.name == topics.STATUS)
    found = status.misfits(status.config | {setting: now})
    assert [one.setting for one in found] == ([] if fits else [setting])


def test_policies_may_stand_in_any_order() -> None:
    seen = topics.Topic(name="t", key="k", config={"cleanup.policy": "compact,delete"})
    assert seen.misfits({"cleanup.policy": "delete,compact"}) == []
    assert list(map(str, seen.misfits({"cleanup.policy": "compact"}))) == [
        "cleanup.policy is compact, not compact,delete"
    ]
