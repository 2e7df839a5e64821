"""A subscription is refused by field, without quoting an address."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInput
from pipeline.notifications import Channel
from pipeline.subscriptions import MAX_RECIPIENTS, Recipient, Subscription, decode

PERSON: dict[str, Any] = {"recipient_id": "anna", "addresses": {"sms": "+79990000001", "email": "anna@example.org"}}


def encoded(*people: dict[str, Any], shipment_id: str = "EXB1") -> bytes:
    return json.dumps({"shipment_id": shipment_id, "recipients": people}).encode()


def test_null_takes_a_subscription_away() -> None:
    assert decode(None) is None


def test_what_is_left_out_has_defaults() -> None:
    subscription = decode(encoded(PERSON))
    assert subscription is not None
    (person,) = subscription.recipients
    assert (person.locale, person.timezone, person.channels, person.events) == ("en", "UTC", None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"locale": "pt-BR", "timezone": "America/Argentina/Buenos_Aires"},
        {"locale": "zh_Hant_TW", "timezone": "Etc/GMT+3"},
        {"channels": ["sms"], "events": ["ARRI", "DRFT"]},
        {"channels": []},
        {"addresses": {"push": "a:b-c_" * 40}},
        {"addresses": {"sms": "+12345678"}},
        {"addresses": {"email": "a+b.c@sub.example.org"}},
    ],
)
def test_taken(change: dict[str, Any]) -> None:
    assert decode(encoded(PERSON | change)) is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recipient_id": ""}, "recipient_id"),
        ({"recipient_id": " "}, "recipient_id"),
        ({"recipient_id": "a\nb"}, "recipient_id"),
        ({"addresses": {}}, "addresses"),
        ({"addresses": {"fax": "1"}}, "addresses"),
        ({"addresses": {"sms": "79990000001"}}, "addresses.sms"),
        ({"addresses": {"sms": "+7999"}}, "addresses.sms"),
        ({"addresses": {"sms": "+1234567890123456"}}, "addresses.sms"),
        ({"addresses": {"sms": "+79990000001\n"}}, "addresses.sms"),
        ({"addresses": {"sms": "+７９９９００００００１"}}, "addresses.sms"),
        ({"addresses": {"email": "anna"}}, "addresses.email"),
        ({"addresses": {"email": "a@b@c"}}, "addresses.email"),
        ({"addresses": {"email": "a@b\r\nBcc: c@d"}}, "addresses.email"),
        ({"addresses": {"email": "a\x01@example.org"}}, "addresses.email"),
        ({"addresses": {"email": "a" * 251 + "@b.c"}}, "addresses.email"),
        ({"addresses": {"push": ""}}, "addresses.push"),
        ({"addresses": {"push": "x" * 4_097}}, "addresses.push"),
        ({"locale": "../en"}, "locale"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "/Europe/Moscow"}, "timezone"),
        ({"channels": ["push"]}, "channels[0]"),
        ({"events": ["TELE"]}, "events[0]"),
    ],
)
def test_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(encoded({"recipient_id": "first", "addresses": {"push": "t"}}, PERSON | change))
    assert caught.value.field == f"recipients[1].{field}"
    for address in change.get("addresses", {}).values():
        assert not address or address not in caught.value.problem


def test_nobody_is_named_twice() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(encoded(PERSON, PERSON))
    assert caught.value.field == "recipients[1].recipient_id"


def test_recipients_are_bounded() -> None:
    people = [PERSON | {"recipient_id": str(number)} for number in range(MAX_RECIPIENTS + 1)]
    assert decode(encoded(*people[:-1])) is not None
    with pytest.raises(InvalidInput) as caught:
        decode(encoded(*people))
    assert caught.value.field == "recipients"


@given(
    st.lists(
        st.builds(
            Recipient,
            recipient_id=st.text("abc0-", min_size=1),
            addresses=st.dictionaries(
                st.just(Channel.SMS), st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True), min_size=1
            ),
        ),
        unique_by=lambda one: one.recipient_id,
        max_size=5,
    )
)
def test_a_subscription_survives_its_json(recipients: list[Recipient]) -> None:
    subscription = Subscription(shipment_id="EXB1", recipients=tuple(recipients))
    assert decode(msgspec.json.encode(subscription)) == subscription


@given(st.binary())
def test_nothing_but_a_refusal_is_raised(value: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(value)
