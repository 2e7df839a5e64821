"""Which Faust app is this process? The one of the role that ``HERALD_ROLE`` names, wired here and nowhere else.

``faust -A app worker`` runs it, and so does ``herald worker``. Each builder imports what its role needs: a worker that
is started again after a crash is back a second earlier without the libraries of the other roles.
"""

import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from pydantic import ValidationError

import topics
from agents.guard import DeadLetterGuard
from observability import logging
from observability.metrics import Metrics
from pipeline.batching import BatchPolicy
from pipeline.circuit import CircuitPolicy
from pipeline.deadletter_limits import DeadLetterPolicy
from pipeline.delivery import SendPolicy
from pipeline.dispatch import CallPolicy, Dispatch
from pipeline.enrich import EnrichPolicy, waits_within
from pipeline.notifications import Channel
from pipeline.ports import Provider
from pipeline.retry import RetryPolicy
from settings import Role, Settings, problems_of
from streaming.app import ConsumerApp, RoleApp, ServiceApp, WorkerPolicy
from web.role_health import RoleHealth
from web.server import HttpServer, operations_app

POSTGRES_TIMEOUT_S = 10.0
REDIS_TIMEOUT_S = 2.0
REQUEST_TIMEOUT_S = 10.0
# A query asks Redis, and Postgres twice at most: a request outlasts all three, and says what Redis knows.
QUERY_TIMEOUT_S = 3.0
CIRCUIT_WAIT_S = 1.0
DEAD_LETTERS_WINDOW = 2_000
STATUS_TTL_S = 7 * 86_400.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def create_app(settings: Settings) -> RoleApp:
    """The app of one role, with nothing opened yet."""
    logging.configure(
        settings.log_level, settings.log_format, settings.role, settings.instance_id or socket.gethostname()
    )
    registry = CollectorRegistry()
    # The process as the operating system sees it: when it started, its memory, its CPU.
    ProcessCollector(registry=registry)
    metrics = Metrics(registry)
    metrics.build(version("cargo-herald"), settings.role)
    app = BUILDERS[settings.role](settings, metrics)
    serve(app, settings, metrics, registry)
    return app


def serve(app: RoleApp, settings: Settings, metrics: Metrics, registry: CollectorRegistry) -> None:
    http = operations_app(
        health_of=RoleHealth(app),
        registry=registry,
        answered=metrics.answered,
        request_timeout_s=REQUEST_TIMEOUT_S,
    )
    if settings.role is Role.API:
        _add_api(http, app, settings)
    app.to_open.append(HttpServer(http, host=settings.http_host, port=settings.http_port))


def _add_api(http: web.Application, app: RoleApp, settings: Settings) -> None:
    from storage.postgres import PostgresStatuses
    from storage.reader import StatusReader
    from storage.redis import StatusCache
    from web.server import add_status_api

    postgres = PostgresStatuses(settings.postgres, timeout_s=QUERY_TIMEOUT_S, pool_size=8)
    cache = StatusCache(settings.redis, timeout_s=REDIS_TIMEOUT_S, ttl_s=STATUS_TTL_S)
    app.to_open += [postgres, cache]
    add_status_api(http, statuses=StatusReader(cache, postgres), api_keys=settings.api_keys)


def worker_policy(settings: Settings) -> WorkerPolicy:
    return WorkerPolicy(
        group=settings.group,
        kafka=settings.kafka,
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        data_dir=settings.data_dir / settings.role,
        instance_id=static_member(settings),
        session_timeout_s=settings.session_timeout_s,
        commit_interval_s=settings.commit_interval_s,
        drain_timeout_s=settings.drain_timeout_s,
        stuck_timeout_s=settings.stuck_timeout_s,
        start_timeout_s=settings.start_timeout_s,
        fetch_messages=settings.fetch_messages,
        topics=needed_topics(settings),
    )


def static_member(settings: Settings) -> str | None:
    if settings.instance_id is None or settings.role is Role.API:
        return None
    changelogs = [name for name in needed_topics(settings) if name.startswith(f"{settings.group}-")]
    read = topics.read_by(settings.retry_tiers_s)[settings.group]
    return topics.static_member(settings.instance_id, [*read, *changelogs], settings.partitions)


def needed_topics(settings: Settings) -> tuple[str, ...]:
    """The API asks Redis and Postgres alone."""
    if settings.role is Role.API:
        return ()
    return tuple(topic.name for topic in topics.all_topics(settings.retry_tiers_s, settings.seen_for_s))


def dead_letter_guard(app: ConsumerApp, settings: Settings) -> DeadLetterGuard:
    policy = DeadLetterPolicy(
        consecutive=settings.dead_letters_in_a_row,
        ratio=settings.dead_letters_ratio,
        window=DEAD_LETTERS_WINDOW,
    )
    return DeadLetterGuard(policy, app.halt)


def build_enrich(settings: Settings, metrics: Metrics) -> ConsumerApp:
    import templates
    from agents import enrich, subscribe
    from pipeline.rendering import Renderer
    from tables.seen import SeenEvents
    from tables.subscriptions import Subscriptions

    app = ConsumerApp(worker_policy(settings), metrics)
    subscriptions = Subscriptions(app)
    enricher = enrich.Enricher(
        engine=app.engine,
        out=app.records_out,
        seen=SeenEvents(app, keep_s=settings.seen_for_s),
        subscriptions=subscriptions,
        renderer=Renderer(templates.load()),
        policy=EnrichPolicy(
            expire_after_s=settings.expire_after_s,
            waits=waits_within(settings.subscription_grace_s, settings.retry_tiers_s),
        ),
        tiers_s=settings.retry_tiers_s,
        partitions=settings.partitions,
        catch_up=lambda partitions, limit_s: app.fetch_consumer.catch_up(topics.SUBSCRIPTIONS, partitions, limit_s),
        guard=dead_letter_guard(app, settings),
        metrics=metrics,
        clock_ms=now_ms,
    )
    subscriber = subscribe.Subscriber(
        out=app.records_out, subscriptions=subscriptions, partitions=settings.partitions, metrics=metrics
    )
    subscribe.define(app, subscriber, window=settings.window_messages)
    enrich.define(app, enricher, window=settings.window_messages)
    return app


def build_send(settings: Settings, metrics: Metrics) -> ConsumerApp:
    from agents import send
    from agents.aftermath import Aftermath
    from agents.circuit_log import CircuitLog
    from agents.sending import Sending
    from agents.telling import GRACE_S, Teller
    from streaming.between import read_between
    from streaming.member import stale_after
    from streaming.producer import DELIVERY_TIMEOUT_S
    from tables.claims import Claims

    channel = settings.role.channel
    assert channel is not None
    app = ConsumerApp(worker_policy(settings), metrics)
    provider = PROVIDERS[channel](settings)
    app.to_open.append(provider)
    calls = min(settings.calls_in_flight, provider.max_calls)
    dispatch: Dispatch[Sending] = Dispatch(
        BatchPolicy(
            messages=min(settings.batch_messages, provider.max_messages),
            size_bytes=settings.batch_bytes,
            linger_s=settings.batch_linger_s,
        ),
        CallPolicy(calls=calls, for_urgent=_for_urgent(calls, settings)),
        CircuitPolicy(
            failures=settings.circuit_failures,
            wait_s=CIRCUIT_WAIT_S,
            longest_wait_s=settings.circuit_longest_wait_s,
        ),
    )
    claims = Claims(app, app.records_out, committed=lambda tp: app.fetch_consumer.committed(tp), clock_ms=now_ms)
    aftermath = Aftermath(
        app.engine,
        channel,
        tiers_s=settings.retry_tiers_s,
        # The claim and what came of it may each have waited for the broker.
        later_s=settings.session_timeout_s
        + settings.provider_timeout_s
        + GRACE_S
        + 2 * (DELIVERY_TIMEOUT_S + stale_after(settings.session_timeout_s)),
        read_between=partial(read_between, settings.kafka),
    )
    metrics.told_by(channel, provider.name)
    circuit_log = CircuitLog(dispatch, channel, provider.name, metrics)
    teller = Teller(
        provider=provider,
        policy=SendPolicy(
            provider=provider.name,
            send_again=settings.unconfirmed[channel] == "send-again",
            key_lifetime_s=provider.key_lifetime_s,
            retry=RetryPolicy(
                tiers_s=settings.retry_tiers_s,
                attempts=settings.retry_attempts,
                total_s=settings.retry_total_s,
                jitter=settings.retry_jitter,
            ),
        ),
        dispatch=dispatch,
        circuit_log=circuit_log,
        call_timeout_s=settings.provider_timeout_s,
        metrics=metrics,
        clock_ms=now_ms,
        chance=random.random,
    )
    sender = send.Sender(
        engine=app.engine,
        out=app.records_out,
        claims=claims,
        aftermath=aftermath,
        teller=teller,
        dispatch=dispatch,
        circuit_log=circuit_log,
        guard=dead_letter_guard(app, settings),
        patience=app.patience,
        metrics=metrics,
        clock_ms=now_ms,
    )
    app.to_open.append(sender)
    send.define(app, sender, claims, aftermath, channel, window=settings.window_messages)
    return app


def _for_urgent(calls: int, settings: Settings) -> int:
    """As many of a provider's ``calls`` as of all, at least one where any are: but a single call is for both lanes."""
    share = -(-calls * settings.calls_for_urgent // settings.calls_in_flight)
    return min(share, calls - 1)


def build_sink(settings: Settings, metrics: Metrics) -> ConsumerApp:
    from agents import sink
    from storage.postgres import PostgresOutcomes
    from storage.redis import StatusCache

    app = ConsumerApp(replace(worker_policy(settings), gather_s=sink.GATHER_S), metrics)
    store = PostgresOutcomes(settings.postgres, timeout_s=POSTGRES_TIMEOUT_S, pool_size=2)
    cache = StatusCache(settings.redis, timeout_s=REDIS_TIMEOUT_S, ttl_s=STATUS_TTL_S)
    app.to_open += [store, cache]
    stage = sink.Sink(
        store=store,
        cache=cache,
        out=app.records_out,
        patience=app.patience,
        draining=lambda: app.engine.draining,
        guard=dead_letter_guard(app, settings),
        metrics=metrics,
        clock_ms=now_ms,
    )
    sink.define(app, stage, tiers_s=settings.retry_tiers_s, window=settings.window_messages)
    return app


def build_retry(settings: Settings, metrics: Metrics) -> ServiceApp:
    from agents import delay
    from streaming.delay import DelayService
    from streaming.watchdog import Patience

    app = ServiceApp(worker_policy(settings), metrics)
    app.to_open.append(
        DelayService(
            kafka=settings.kafka,
            group=settings.group,
            instance_id=static_member(settings),
            session_timeout_s=settings.session_timeout_s,
            tiers={topics.retry(tier_s): topics.tier_name(tier_s) for tier_s in settings.retry_tiers_s},
            out=app.records_out,
            read=delay.reader(now_ms),
            patience=Patience(settings.stuck_timeout_s),
            metrics=metrics,
            clock_ms=now_ms,
            halt=app.halt,
        )
    )
    return app


def build_api(settings: Settings, metrics: Metrics) -> ServiceApp:
    return ServiceApp(worker_policy(settings), metrics)


def sms(settings: Settings) -> Provider:
    from providers.sms.batch_http import BatchHttpSms

    return BatchHttpSms(
        settings.sms_url,
        settings.sms_token.get_secret_value(),
        timeout_s=settings.provider_timeout_s,
        connections=settings.calls_in_flight,
        max_messages=settings.batch_messages,
    )


def email(settings: Settings) -> Provider:
    from providers.email.smtp import SmtpEmail

    return SmtpEmail(
        settings.smtp_host,
        settings.smtp_port,
        sender=settings.smtp_sender,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value(),
        tls=settings.smtp_tls,
        timeout_s=settings.provider_timeout_s,
        connections=settings.smtp_connections,
    )


def push(settings: Settings) -> Provider:
    from providers.push.fcm import FcmPush
    from providers.push.service_account import ServiceAccount

    if settings.fcm_credentials is None:
        raise SystemExit("HERALD_FCM_CREDENTIALS is needed: the path of a service account's key file")
    try:
        account = ServiceAccount.load(settings.fcm_credentials)
    except (OSError, ValueError) as error:
        raise SystemExit(f"HERALD_FCM_CREDENTIALS: {error}") from error
    return FcmPush(
        settings.fcm_url,
        account,
        timeout_s=settings.provider_timeout_s,
        concurrency=settings.fcm_connections,
    )


PROVIDERS: dict[Channel, Callable[[Settings], Provider]] = {Channel.SMS: sms, Channel.EMAIL: email, Channel.PUSH: push}

BUILDERS: dict[Role, Callable[[Settings, Metrics], RoleApp]] = {
    Role.ENRICH: build_enrich,
    Role.SEND_SMS: build_send,
    Role.SEND_EMAIL: build_send,
    Role.SEND_PUSH: build_send,
    Role.SINK: build_sink,
    Role.RETRY: build_retry,
    Role.API: build_api,
}

_app: RoleApp | None = None


def __getattr__(name: str) -> RoleApp:
    """``app`` is made when Faust first asks for it, so that importing this module opens nothing."""
    global _app
    if name != "app":
        raise AttributeError(name)
    if _app is None:
        try:
            settings = Settings()
        except ValidationError as error:
            raise SystemExit(problems_of(error)) from error
        _app = create_app(settings)
    return _app
