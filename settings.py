"""Where does each setting come from? The environment, read here once, by nobody else; every name starts ``HERALD_``."""

import hashlib
import re
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import topics
from pipeline.notifications import Channel
from providers.email.mime import Sender

DAY_S = 86_400.0


class Role(StrEnum):
    """One Faust app with a consumer group of its own; deploys, scales and fails by itself."""

    ENRICH = "enrich"
    SEND_SMS = "send-sms"
    SEND_EMAIL = "send-email"
    SEND_PUSH = "send-push"
    RETRY = "retry"
    SINK = "sink"
    API = "api"

    @property
    def channel(self) -> Channel | None:
        """The channel that a send role serves."""
        return Channel(self.value.removeprefix("send-")) if self.value.startswith("send-") else None


CommaSeparated = NoDecode


class Settings(BaseSettings):
    """Validated at the start of a process, frozen from then on."""

    model_config = SettingsConfigDict(env_prefix="HERALD_", frozen=True, extra="ignore", allow_inf_nan=False)

    role: Role = Role.ENRICH

    kafka: str = "127.0.0.1:9092"
    postgres: str = "postgresql://postgres@127.0.0.1:5432/postgres"
    redis: str = "redis://127.0.0.1:6379/0"

    partitions: int = Field(default=4, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    data_dir: Path = Path(".herald/data")
    instance_id: str | None = Field(default=None, min_length=1, description="static group membership: the pod's name")
    session_timeout_s: float = Field(default=10.0, gt=0)
    commit_interval_s: float = Field(default=0.5, gt=0)
    start_timeout_s: float = Field(default=60.0, gt=0, description="how long to wait for Kafka and its topics")
    drain_timeout_s: float = Field(default=15.0, gt=0, description="how long work in flight may take to end")
    stuck_timeout_s: float = Field(default=120.0, ge=5, description="the watchdog's patience")

    window_messages: int = Field(default=4_000, ge=1, description="records in flight on each lane, at most")
    fetch_messages: int = Field(default=1_000, ge=1, description="records in one fetch, at most")

    batch_messages: int = Field(default=100, ge=1)
    batch_bytes: int = Field(default=262_144, ge=1)
    batch_linger_s: float = Field(default=0.02, ge=0)
    calls_in_flight: int = Field(default=32, ge=1)
    calls_for_urgent: int = Field(default=8, ge=0, description="of those, free of bulk while urgent comes")

    circuit_failures: int = Field(default=8, ge=1, description="failed calls in a row that open a provider's circuit")
    circuit_longest_wait_s: float = Field(default=15.0, ge=1, description="between two probes of a provider, at most")

    retry_tiers_s: Annotated[tuple[float, ...], CommaSeparated] = (30.0, 120.0, 600.0, 3_600.0, 21_600.0)
    retry_attempts: int = Field(default=6, ge=1, description="provider calls for one notification, at most")
    retry_total_s: float = Field(default=DAY_S, gt=0, description="from created to given up, at most")
    retry_jitter: float = Field(default=0.05, ge=0, lt=1, description="added to a delay, as a part of its tier")
    unconfirmed: Annotated[dict[Channel, Literal["send-again", "give-up"]], CommaSeparated] = {
        Channel.SMS: "give-up",
        Channel.EMAIL: "send-again",
        Channel.PUSH: "send-again",
    }
    dead_letters_in_a_row: int = Field(default=500, ge=1, description="for bugs; beyond it a role halts")
    dead_letters_ratio: float = Field(default=0.5, gt=0, le=1, description="of the last 2,000 records; as above")
    subscription_grace_s: float = Field(default=150.0, ge=0, description="how long an event waits for its subscription")
    expire_after_s: float = Field(default=DAY_S, gt=0, description="a notification older than this is stale news")
    seen_for_s: float = Field(default=14 * DAY_S, gt=0, description="how long a repeated event is recognised")
    retention_days: int = Field(
        default=400, ge=31, description="how long Postgres keeps an outcome; longer than the DLQ"
    )
    retention_step_days: int = Field(default=7, ge=1, le=31, description="days in one partition, dropped at once")

    sms_url: str = "http://127.0.0.1:8101/v1/messages"
    sms_token: SecretStr = SecretStr("")
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Literal["none", "starttls", "implicit"] = "none"
    smtp_sender: str = "Cargo Herald <herald@example.org>"
    smtp_connections: int = Field(default=8, ge=1)
    fcm_url: str = "https://fcm.googleapis.com"
    fcm_connections: int = Field(default=100, ge=1)
    fcm_credentials: Path | None = Field(default=None, description="a service account's key file")
    provider_timeout_s: float = Field(default=10.0, gt=0, le=10)

    http_host: str = "127.0.0.1"
    http_port: int = 8080
    api_keys: Annotated[tuple[str, ...], CommaSeparated] = Field(default=(), description="SHA-256 of each key, in hex")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @field_validator("retry_tiers_s", "api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("unconfirmed", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        """``sms=give-up,email=send-again``; a channel that is not named keeps its default."""
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("must read channel=policy, separated by commas")
        named = {channel.strip(): policy.strip() for channel, _, policy in pairs}
        return {**cls.model_fields["unconfirmed"].default, **named}

    @field_validator("api_keys")
    @classmethod
    def _digests(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys):
            raise ValueError("must be SHA-256 digests in lower-case hex, not the keys themselves")
        if hashlib.sha256().hexdigest() in keys:
            raise ValueError("one of them is the digest of nothing: the variable with the key was empty")
        return keys

    @field_validator("retry_tiers_s")
    @classmethod
    def _ascending(cls, tiers: tuple[float, ...]) -> tuple[float, ...]:
        # A tier's topic is named by its milliseconds.
        tiers_ms = [round(tier * 1000) for tier in tiers]
        if not tiers or tiers_ms[0] <= 0 or tiers_ms != sorted(set(tiers_ms)):
            raise ValueError("the delays must be above 0 and ascend")
        if tiers[-1] > DAY_S:
            raise ValueError("no delay may be above a day")
        return tiers

    @field_validator("smtp_sender")
    @classmethod
    def _sender(cls, sender: str) -> str:
        Sender.parse(sender)
        return sender

    @model_validator(mode="after")
    def _room_for_bulk(self) -> Self:
        if self.calls_for_urgent >= self.calls_in_flight:
            raise ValueError("calls_for_urgent must be below calls_in_flight, or bulk is never sent")
        return self

    @cached_property
    def group(self) -> str:
        """The Faust app's id and consumer group."""
        return topics.group(self.role)


def problems_of(error: ValidationError) -> str:
    """A line for each setting that is wrong, by the name of its variable; for people, without the value."""
    return "\n".join(
        f"HERALD_{str(one['loc'][0]).upper()}: {one['msg']}" if one["loc"] else one["msg"] for one in error.errors()
    )
