"""The environment, as it is typed; what cannot work is refused at the start."""

import hashlib
import math
import os

import pytest
from pydantic import ValidationError

from pipeline.notifications import Channel
from settings import Role, Settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HERALD_")]:
        monkeypatch.delenv(name)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"HERALD_{name.upper()}", value)
    return Settings()


@pytest.mark.parametrize(
    ("name", "typed", "read"),
    [
        pytest.param("retry_tiers_s", "1,2.5,8", (1.0, 2.5, 8.0), id="tiers"),
        pytest.param("retry_tiers_s", " 1 , 2 ,", (1.0, 2.0), id="spaces and a last comma"),
        pytest.param("retry_tiers_s", "86400", (86_400.0,), id="a day is the longest"),
        pytest.param("api_keys", "", (), id="no key"),
        pytest.param("api_keys", f"{'ab' * 32}, {'cd' * 32}", ("ab" * 32, "cd" * 32), id="keys"),
        pytest.param("role", "send-sms", Role.SEND_SMS, id="a role"),
        pytest.param("fetch_messages", "5", 5, id="a number"),
    ],
)
def test_what_is_typed_is_what_is_read(monkeypatch: pytest.MonkeyPatch, name: str, typed: str, read: object) -> None:
    assert getattr(settings(monkeypatch, **{name: typed}), name) == read


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        pytest.param("retry_tiers_s", "", id="no tier"),
        pytest.param("retry_tiers_s", "2,1", id="descending"),
        pytest.param("retry_tiers_s", "1,1", id="twice the same"),
        pytest.param("retry_tiers_s", "1,1.0001", id="two that share a topic"),
        pytest.param("retry_tiers_s", "0,1", id="no delay"),
        pytest.param("retry_tiers_s", "0.0001", id="a delay that rounds to none"),
        pytest.param("retry_tiers_s", "-1,1", id="negative"),
        pytest.param("retry_tiers_s", "30,86401", id="above a day"),
        pytest.param("retry_tiers_s", "30,soon", id="no number"),
        pytest.param("retry_tiers_s", "nan", id="not a number"),
        pytest.param("retry_total_s", "inf", id="for ever"),
        pytest.param("retry_jitter", "1", id="jitter as long as the tier"),
        pytest.param("unconfirmed", "sms", id="a channel without a policy"),
        pytest.param("unconfirmed", "sms:give-up", id="another separator"),
        pytest.param("unconfirmed", "fax=give-up", id="an unknown channel"),
        pytest.param("unconfirmed", "sms=maybe", id="an unknown policy"),
        pytest.param("calls_for_urgent", "32", id="no call left for bulk"),
        pytest.param("calls_in_flight", "8", id="no call left for bulk, the other way"),
        pytest.param("provider_timeout_s", "11", id="longer than a drain has"),
        pytest.param("smtp_sender", "Cargo Herald", id="a sender without an address"),
        pytest.param("role", "cook", id="an unknown role"),
        pytest.param("api_keys", f"{'a' * 64},in-clear", id="a key in clear"),
        pytest.param("api_keys", "A" * 64, id="a digest as some tools write it"),
        pytest.param("api_keys", "a" * 63, id="a digest that lacks an end"),
        pytest.param("api_keys", hashlib.sha256().hexdigest(), id="the digest of no key"),
    ],
)
def test_what_cannot_work_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, typed: str) -> None:
    with pytest.raises(ValidationError, match=name):
        settings(monkeypatch, **{name: typed})


@pytest.mark.parametrize(
    ("typed", "changed"),
    [
        pytest.param("", {}, id="nothing named"),
        pytest.param("email=give-up", {Channel.EMAIL: "give-up"}, id="one named, the others keep theirs"),
        pytest.param(
            "sms=send-again, push = give-up ,", {Channel.SMS: "send-again", Channel.PUSH: "give-up"}, id="spaces"
        ),
    ],
)
def test_policies_on_doubt(monkeypatch: pytest.MonkeyPatch, typed: str, changed: dict[Channel, str]) -> None:
    defaults = {Channel.SMS: "give-up", Channel.EMAIL: "send-again", Channel.PUSH: "send-again"}
    assert settings(monkeypatch, unconfirmed=typed).unconfirmed == defaults | changed


def test_the_defaults_stand() -> None:
    read = Settings()
    assert read.calls_for_urgent < read.calls_in_flight
    assert all(math.isfinite(tier) for tier in read.retry_tiers_s)
    assert set(read.unconfirmed) == set(Channel)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().partitions = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("role", "group", "channel"),
    [
        (Role.ENRICH, "herald-enrich", None),
        (Role.SEND_SMS, "herald-send-sms", Channel.SMS),
        (Role.SEND_PUSH, "herald-send-push", Channel.PUSH),
        (Role.SINK, "herald-sink", None),
    ],
)
def test_a_role_has_its_group_and_perhaps_its_channel(role: Role, group: str, channel: Channel | None) -> None:
    read = Settings(role=role)
    assert (read.group, read.role.channel) == (group, channel)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hush" not in repr(settings(monkeypatch, sms_token="hush", smtp_password="hush"))
