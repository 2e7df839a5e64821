"""What Prometheus reads from a process."""

import inspect

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from observability.metrics import RESULTS, Metrics
from pipeline.errors import DeliveryError, TransientError
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from pipeline.ports import Accepted
from tests.unit.observability.feed import TOPIC, feed, outcome


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


SMS = {"channel": "sms"}
CALL = {**SMS, "provider": "http-sms"}
AT = {"topic": TOPIC, "partition": "3"}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("herald_build_info", {"version": "0.1.0", "role": "send-sms"}, 1),
        ("herald_records_consumed_total", {"topic": TOPIC}, 7),
        ("herald_records_produced_total", {"topic": TOPIC}, 5),
        ("herald_consumer_lag_records", AT, 12),
        ("herald_oldest_waiting_seconds", AT, 4.5),
        ("herald_commit_age_seconds", AT, 1.5),
        ("herald_rebalances_total", {}, 1),
        ("herald_stuck_seconds", {}, 2),
        ("herald_group_silent_seconds", {}, 4),
        ("herald_events_total", {"disposition": "accepted"}, 3),
        ("herald_notifications_created_total", {**SMS, "lane": "urgent"}, 4),
        ("herald_notifications_in_flight", SMS, 9),
        ("herald_attempts_total", {**CALL, "result": "accepted"}, 2),
        ("herald_attempts_total", {**CALL, "result": "transient"}, 1),
        ("herald_attempts_total", {**CALL, "result": "throttled"}, 1),
        ("herald_attempts_total", {**CALL, "result": "permanent"}, 1),
        ("herald_attempts_total", {**CALL, "result": "unconfirmed"}, 1),
        ("herald_batch_messages_sum", SMS, 8),
        ("herald_batch_bytes_sum", SMS, 700),
        ("herald_provider_call_seconds_sum", {"provider": "http-sms", "result": "accepted"}, 0.2),
        ("herald_in_doubt_total", {**SMS, "decision": "give-up"}, 1),
        ("herald_outcomes_total", {**CALL, "status": "sent"}, 2),
        ("herald_outcomes_total", {**SMS, "provider": "none", "status": "expired"}, 1),
        ("herald_end_to_end_seconds_sum", {**SMS, "lane": "urgent", "status": "sent"}, 180),
        ("herald_end_to_end_seconds_bucket", {**SMS, "lane": "urgent", "status": "sent", "le": "60.0"}, 0),
        ("herald_end_to_end_seconds_bucket", {**SMS, "lane": "urgent", "status": "sent", "le": "300.0"}, 2),
        ("herald_duplicates_suppressed_total", {"stage": "enrich"}, 2),
        ("herald_retries_total", {**SMS, "tier": "30s"}, 2),
        ("herald_retry_waiting_records", {"tier": "30s"}, 6),
        ("herald_retry_overdue_seconds", {"tier": "30s"}, 0),
        ("herald_dead_letters_total", {"reason": "retries-exhausted"}, 1),
        ("herald_sink_rows_total", {"store": "postgres", "result": "new"}, 3),
        ("herald_sink_rows_total", {"store": "postgres", "result": "known"}, 1),
        ("herald_takeover_seconds", {}, 1.5),
        ("herald_start_seconds", {}, 3.5),
        ("herald_circuit_state", {"channel": "sms", "provider": "http-sms"}, 2),
        ("herald_circuit_opened_total", {"channel": "sms", "provider": "http-sms"}, 1),
        ("herald_halted", {"cause": "dead-letters"}, 1),
        ("herald_sink_batch_seconds_count", {"store": "postgres"}, 1),
        ("herald_redis_failures_total", {}, 1),
        ("herald_http_requests_total", {"route": "/v1/notifications/{id}", "status": "404"}, 1),
        ("herald_http_request_seconds_sum", {"route": "/v1/notifications/{id}"}, 0.02),
    ],
)
def test_each_fact_is_counted_once_under_its_labels(
    registry: CollectorRegistry, name: str, labels: dict[str, str], value: float
) -> None:
    feed(registry)
    assert registry.get_sample_value(name, labels) == pytest.approx(value)


def test_every_metric_is_fed_and_explained(registry: CollectorRegistry) -> None:
    feed(registry)
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.samples, family.name
        assert family.documentation, family.name
        assert family.name.startswith("herald_")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("herald_dead_letters_total", {"reason": "bug"}),
        ("herald_notifications_created_total", {"channel": "push", "lane": "bulk"}),
        ("herald_outcomes_total", {"channel": "email", "provider": "none", "status": "technical-failure"}),
        ("herald_outcomes_total", {**CALL, "status": "permanent-failure"}),
    ],
)
def test_what_rules_take_the_increase_of_begins_at_nought(
    registry: CollectorRegistry, name: str, labels: dict[str, str]
) -> None:
    """A series that begins with a burst has no increase: the first five thousand dead letters would alert nobody."""
    metrics = Metrics(registry)
    metrics.told_by(Channel.SMS, "http-sms")
    assert registry.get_sample_value(name, labels) == 0


def test_every_method_has_a_place_in_the_feed() -> None:
    """The tests of the alert rules stand on the feed: a metric that it leaves out would be unknown to them."""
    methods = {name for name, _ in inspect.getmembers(Metrics, inspect.isfunction) if not name.startswith("_")}
    fed = inspect.getsource(feed)
    assert {name for name in methods if f"metrics.{name}(" not in fed} == {"revoked"}


def test_a_revoked_partition_is_no_longer_told(registry: CollectorRegistry) -> None:
    metrics = feed(registry)
    metrics.revoked(TOPIC, 3)
    metrics.revoked(TOPIC, 4)
    for name in ("consumer_lag_records", "oldest_waiting_seconds", "commit_age_seconds"):
        assert registry.get_sample_value(f"herald_{name}", AT) is None
    metrics.progress(TOPIC, 3, lag=1, oldest_s=0.0, commit_age_s=0.0)
    assert registry.get_sample_value("herald_consumer_lag_records", AT) == 1


@pytest.mark.parametrize(
    "leak",
    [
        "7d1f7a3e-0000-5000-8000-000000000001",
        "+79161234567",
        "79161234567",
        "ivan@example.org",
        "events[2].code: unknown",
        "x" * 65,
        "",
        'a"} 1\nherald_evil 1',
    ],
)
def test_a_label_that_is_no_name_becomes_other(registry: CollectorRegistry, leak: str) -> None:
    metrics = Metrics(registry)
    metrics.duplicates(leak, 1)
    metrics.duplicates(leak, 1)
    assert registry.get_sample_value("herald_duplicates_suppressed_total", {"stage": "other"}) == 2
    assert not leak or leak not in generate_latest(registry).decode()


def test_a_call_that_nobody_accepted_is_timed_under_its_first_result(registry: CollectorRegistry) -> None:
    Metrics(registry).call(Channel.EMAIL, "smtp", [TransientError("x")] * 3, size=10, seconds=10.0)
    name = "herald_provider_call_seconds_count"
    assert registry.get_sample_value(name, {"provider": "smtp", "result": "transient"}) == 1


def test_a_kind_of_error_that_is_new_counts_as_the_one_above_it(registry: CollectorRegistry) -> None:
    class QuotaExceeded(TransientError):
        pass

    Metrics(registry).call(Channel.PUSH, "fcm", [QuotaExceeded("x"), DeliveryError("y")], size=10, seconds=0.1)
    name, labels = "herald_attempts_total", {"channel": "push", "provider": "fcm"}
    assert registry.get_sample_value(name, {**labels, "result": "transient"}) == 1
    assert registry.get_sample_value(name, {**labels, "result": "other"}) == 1


def test_every_result_that_a_provider_may_give_has_a_word() -> None:
    assert set(RESULTS) == {Accepted, *_leaves(DeliveryError)}


def test_a_clock_that_went_back_is_no_negative_latency(registry: CollectorRegistry) -> None:
    Metrics(registry).outcomes([outcome(Status.DELIVERED, seconds=-5.0)])
    labels = {"channel": "sms", "lane": "urgent", "status": "delivered"}
    assert registry.get_sample_value("herald_end_to_end_seconds_sum", labels) == 0


def _leaves(cls: type) -> set[type]:
    """Every class below ``cls`` that the errors' own module defines."""
    below = {one for one in cls.__subclasses__() if one.__module__ == "pipeline.errors"}
    return below.union(*(_leaves(one) for one in below))
