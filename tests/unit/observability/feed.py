"""A process that has met everything: each method of `Metrics` called, as the pipeline would."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from pipeline.circuit import CircuitState
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import NotAsked, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.halting import HaltCause
from pipeline.ledger import Disposition
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome, Status
from pipeline.ports import Accepted

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "herald.sms.urgent.v1"


def outcome(status: Status = Status.SENT, provider: str | None = "http-sms", seconds: float = 90.0) -> Outcome:
    return Outcome(
        notification_id="7d1f7a3e-0000-5000-8000-000000000001",
        event_id="e-1",
        shipment_id="s-1",
        channel=Channel.SMS,
        recipient="r-1",
        status=status,
        reason=None,
        provider=provider,
        provider_reference=None,
        attempts=1,
        template="ARRI",
        template_version=1,
        locale="en",
        lane=Lane.URGENT,
        created_at=CREATED_AT,
        finished_at=CREATED_AT + timedelta(seconds=seconds),
    )


def feed(registry: CollectorRegistry) -> Metrics:
    metrics = Metrics(registry)
    metrics.build("0.1.0", "send-sms")
    metrics.told_by(Channel.SMS, "http-sms")
    metrics.consumed(TOPIC, 7)
    metrics.produced(TOPIC, 5)
    metrics.progress(TOPIC, 3, lag=12, oldest_s=4.5, commit_age_s=1.5)
    metrics.rebalanced(1.5)
    metrics.started(3.5)
    metrics.stuck(2.0)
    metrics.silent(4.0)
    metrics.events(Counter({Disposition.ACCEPTED: 3, Disposition.REPEATED: 1}))
    metrics.created(Counter({(Channel.SMS, Lane.URGENT): 4}))
    metrics.in_flight(Channel.SMS, 9)
    failures = [kind("x") for kind in (TransientError, Unavailable, Throttled, PermanentError, NotAsked, Unconfirmed)]
    results = [Accepted("a"), Accepted("b"), *failures]
    metrics.call(Channel.SMS, "http-sms", results, size=700, seconds=0.2)
    metrics.circuit(Channel.SMS, "http-sms", CircuitState.OPEN)
    metrics.circuit_opened(Channel.SMS, "http-sms")
    metrics.in_doubt(Channel.SMS, "give-up", 1)
    metrics.outcomes([outcome(), outcome(), outcome(Status.EXPIRED, provider=None)])
    metrics.duplicates("enrich", 2)
    metrics.retried(Channel.SMS, "30s", 2)
    metrics.waiting("30s", records=6, overdue_s=0.0)
    metrics.dead_lettered(Counter({DeadLetterReason.RETRIES_EXHAUSTED: 1}))
    metrics.halted(HaltCause.DEAD_LETTERS)
    metrics.stored("postgres", new=3, known=1, seconds=0.02)
    metrics.redis_failed()
    metrics.answered("/v1/notifications/{id}", 404, 0.02)
    return metrics
