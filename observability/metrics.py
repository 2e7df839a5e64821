"""Every metric by name, kind, unit and meaning; nothing else in the project makes one.

Counters count since the start of the process. A label never holds an id, a recipient or a text: its values are the
names of topics, channels, lanes, statuses, providers and tables, or a word from a fixed list, and what does not look
like a name is counted as ``other``; a route is its pattern. Methods take a whole batch, for they are called on the hot
path.

The account closes per channel over all workers:
``notifications_created = outcomes + what waits in a lane, in flight or in a retry tier``.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client import Counter as Count

from observability.histogram import BatchHistogram
from observability.labels import Labelled
from pipeline.circuit import CIRCUIT_STATES, CircuitState
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import NotAsked, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.halting import HaltCause
from pipeline.ledger import Disposition
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome, Status
from pipeline.ports import Accepted, SendResult

RESULTS: Mapping[type[SendResult], str] = {
    Accepted: "accepted",
    Throttled: "throttled",
    Unavailable: "unavailable",
    TransientError: "transient",
    PermanentError: "permanent",
    NotAsked: "not-asked",
    Unconfirmed: "unconfirmed",
}

NO_PROVIDER = "none"

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
WAIT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400)
BATCH_MESSAGES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500)
BATCH_BYTES = (1_024, 4_096, 16_384, 65_536, 131_072, 262_144, 524_288, 1_048_576)


class Metrics:
    """The metrics of one process; not shared between event loops."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # They would double every counter with a series that no rule reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]

        def count(name: str, meaning: str, *labels: str) -> Labelled[Count]:
            return Labelled(Count(f"herald_{name}", meaning, labels, registry=registry))

        def gauge(name: str, meaning: str, *labels: str) -> Labelled[Gauge]:
            return Labelled(Gauge(f"herald_{name}", meaning, labels, registry=registry))

        def histogram(name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Labelled[Histogram]:
            return Labelled(Histogram(f"herald_{name}", meaning, labels, buckets=buckets, registry=registry))

        self._build = Info("herald_build", "Which version runs, in which role", registry=registry)

        # The log: what goes in and out of Kafka.
        self._consumed = count("records_consumed_total", "Records taken from a topic", "topic")
        self._produced = count("records_produced_total", "Records a broker acknowledged", "topic")
        self._lag = gauge("consumer_lag_records", "Records of a partition not yet committed", "topic", "partition")
        self._oldest = gauge(
            "oldest_waiting_seconds", "Age of the oldest record not yet committed", "topic", "partition"
        )
        self._commit_age = gauge(
            "commit_age_seconds", "Since the last commit that moved, with lag", "topic", "partition"
        )
        self._rebalances = count("rebalances_total", "Times that partitions were assigned anew")
        self._takeover = gauge("takeover_seconds", "From the last assignment until records came")
        self._start = gauge("start_seconds", "From the start of the process until records came for the first time")
        self._stuck = gauge("stuck_seconds", "How long the watchdog has seen work and no progress")
        self._silent = gauge("group_silent_seconds", "Since its group last confirmed the worker")
        self._halted = gauge("halted", "1 once the worker has halted, by what for", "cause")

        # Enrich.
        self._events = count("events_total", "Status events, by what became of them", "disposition")
        self._created = count("notifications_created_total", "Notifications given birth to", "channel", "lane")

        # Send.
        self._in_flight = gauge("notifications_in_flight", "Notifications taken in and not settled", "channel")
        self._attempts = count("attempts_total", "Notifications told to a provider", "channel", "provider", "result")
        self._batch = histogram("batch_messages", "Notifications in one provider call", BATCH_MESSAGES, "channel")
        self._batch_bytes = histogram("batch_bytes", "Text in one provider call", BATCH_BYTES, "channel")
        self._call = histogram("provider_call_seconds", "One provider call", CALL_SECONDS, "provider", "result")
        self._in_doubt = count(
            "in_doubt_total", "Sends whose answer is not known, by the policy", "channel", "decision"
        )
        self._circuit = gauge(
            "circuit_state", "Whether a provider is called: 0 closed, 1 half-open, 2 open", "channel", "provider"
        )
        self._circuit_opened = count("circuit_opened_total", "Times that a circuit opened", "channel", "provider")
        self._outcomes = count("outcomes_total", "Notifications that ended", "channel", "provider", "status")
        self._end_to_end = BatchHistogram(
            "herald_end_to_end_seconds", "From created to ended", WAIT_SECONDS, ("channel", "lane", "status"), registry
        )
        self._suppressed = count("duplicates_suppressed_total", "Repeats that were recognised and dropped", "stage")

        # Retry and dead letters.
        self._retries = count("retries_total", "Notifications sent to wait", "channel", "tier")
        self._waiting = gauge("retry_waiting_records", "Records waiting in a tier", "tier")
        self._overdue = gauge("retry_overdue_seconds", "How late the head of a tier is; 0 before it is due", "tier")
        self._dead = count("dead_letters_total", "Records given up on, by the class of what went wrong", "reason")

        # Stores.
        self._rows = count(
            "sink_rows_total", "Rows given to a store, by whether they were new to it", "store", "result"
        )
        self._sink = histogram("sink_batch_seconds", "One batch into a store", CALL_SECONDS, "store")
        self._redis_failures = count("redis_failures_total", "Redis calls that failed; nothing depends on them")

        # HTTP. A pattern has slashes and is no name: not `Labelled`.
        self._requests = Count(
            "herald_http_requests_total", "Requests answered", ("route", "status"), registry=registry
        )
        self._request = Histogram(
            "herald_http_request_seconds", "One request", ("route",), buckets=ANSWER_SECONDS, registry=registry
        )

        # What rules take the increase of begins at 0: of a series that begins with a burst, it would be nothing.
        for reason in DeadLetterReason:
            self._dead[reason].inc(0)
        for channel in Channel:
            for lane in Lane:
                self._created[channel, lane].inc(0)
            self.told_by(channel, NO_PROVIDER)

    def build(self, version: str, role: str) -> None:
        self._build.info({"version": version, "role": role})

    def told_by(self, channel: Channel, provider: str) -> None:
        """Notifications of the channel may end with this provider from now on."""
        for status in Status:
            self._outcomes[channel, provider, status].inc(0)

    def consumed(self, topic: str, records: int) -> None:
        self._consumed[topic].inc(records)

    def produced(self, topic: str, records: int) -> None:
        self._produced[topic].inc(records)

    def progress(self, topic: str, partition: int, *, lag: int, oldest_s: float, commit_age_s: float) -> None:
        """Where a partition of this worker stands; ``oldest_s`` and ``commit_age_s`` are 0 without lag."""
        labels = (topic, str(partition))
        self._lag[labels].set(lag)
        self._oldest[labels].set(oldest_s)
        self._commit_age[labels].set(commit_age_s)

    def revoked(self, topic: str, partition: int) -> None:
        """Another worker's now: a value left behind would be read as a partition that stands still."""
        for gauge in (self._lag, self._oldest, self._commit_age):
            gauge.forget((topic, str(partition)))

    def rebalanced(self, takeover_s: float) -> None:
        """Partitions were assigned ``takeover_s`` ago, and records come from now on."""
        self._rebalances[()].inc()
        self._takeover[()].set(takeover_s)

    def started(self, seconds: float) -> None:
        self._start[()].set(seconds)

    def stuck(self, seconds: float) -> None:
        self._stuck[()].set(seconds)

    def silent(self, seconds: float) -> None:
        self._silent[()].set(seconds)

    def halted(self, cause: HaltCause) -> None:
        self._halted[cause].set(1)

    def events(self, dispositions: Counter[Disposition]) -> None:
        for disposition, events in dispositions.items():
            self._events[disposition].inc(events)

    def created(self, notifications: Counter[tuple[Channel, Lane]]) -> None:
        for labels, born in notifications.items():
            self._created[labels].inc(born)

    def in_flight(self, channel: Channel, notifications: int) -> None:
        self._in_flight[channel].set(notifications)

    def call(self, channel: Channel, provider: str, results: Sequence[SendResult], size: int, seconds: float) -> None:
        """One provider call: its results, the bytes of text in it, and how long it took.

        Its latency counts as ``accepted`` where any item was, else under the first item's result.
        """
        by_result: Counter[str] = Counter()
        for kind, notifications in Counter(map(type, results)).items():
            by_result[result_of(kind)] += notifications
        for result, notifications in by_result.items():
            self._attempts[channel, provider, result].inc(notifications)
        self._batch[channel].observe(len(results))
        self._batch_bytes[channel].observe(size)
        self._call[provider, "accepted" if "accepted" in by_result else next(iter(by_result), "empty")].observe(seconds)

    def in_doubt(self, channel: Channel, decision: str, notifications: int) -> None:
        """``decision``: ``send-again`` or ``give-up``."""
        self._in_doubt[channel, decision].inc(notifications)

    def circuit(self, channel: Channel, provider: str, state: CircuitState) -> None:
        """The circuit's state has changed."""
        self._circuit[channel, provider].set(CIRCUIT_STATES.index(state))

    def circuit_opened(self, channel: Channel, provider: str) -> None:
        """It was closed, and serves nobody now; a probe that failed does not count."""
        self._circuit_opened[channel, provider].inc()

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Notifications that ended; one that never reached a provider has `NO_PROVIDER` for it."""
        ended: Counter[tuple[str, str, str]] = Counter()
        waits: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for one in outcomes:
            ended[one.channel, one.provider or NO_PROVIDER, one.status] += 1
            seconds = (one.finished_at - one.created_at).total_seconds()
            waits[one.channel, one.lane, one.status].append(seconds if seconds > 0 else 0.0)
        for labels, notifications in ended.items():
            self._outcomes[labels].inc(notifications)
        for labels, some in waits.items():
            self._end_to_end.observe(labels, some)

    def duplicates(self, stage: str, records: int) -> None:
        self._suppressed[stage].inc(records)

    def retried(self, channel: Channel, tier: str, notifications: int) -> None:
        self._retries[channel, tier].inc(notifications)

    def waiting(self, tier: str, *, records: int, overdue_s: float) -> None:
        self._waiting[tier].set(records)
        self._overdue[tier].set(overdue_s)

    def dead_lettered(self, reasons: Mapping[DeadLetterReason, int]) -> None:
        for reason, records in reasons.items():
            self._dead[reason].inc(records)

    def stored(self, store: str, *, new: int, known: int, seconds: float) -> None:
        """One batch into ``postgres`` or ``redis``."""
        self._rows[store, "new"].inc(new)
        self._rows[store, "known"].inc(known)
        self._sink[store].observe(seconds)

    def redis_failed(self) -> None:
        self._redis_failures[()].inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One request; ``route`` is the pattern, never the path that was asked for."""
        self._request.labels(route).observe(seconds)
        self._requests.labels(route, str(status)).inc()


def result_of(kind: type[SendResult]) -> str:
    """The word for an item's result: that of its class, or of the nearest class above it."""
    return next((RESULTS[one] for one in kind.__mro__ if one in RESULTS), "other")
