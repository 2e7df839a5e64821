"""What becomes of an event, and what is told of it."""

from datetime import datetime, timedelta

import msgspec
import pytest

from pipeline.enrich import (
    MORE_WAITS,
    REPLAYS,
    Case,
    EnrichPolicy,
    Failed,
    PassOver,
    SeenRow,
    Settled,
    Wait,
    decide,
    refused,
    waits_within,
)
from pipeline.events import StatusEvent
from pipeline.ledger import Born, Disposition, Source
from pipeline.notifications import Channel, Lane, notification_id, replay_id
from pipeline.rendering import Rendered, TemplateError
from pipeline.subscriptions import Recipient, Subscription
from pipeline.vocabulary import StatusCode
from tests.fakes import T0

POLICY = EnrichPolicy(expire_after_s=3_600.0, waits=2)
HERE = Source(topic="cargo.status.v1", partition=0, offset=7)
ELSEWHERE = Source(topic="cargo.status.v1", partition=0, offset=3)
SEEN_AT = T0 - timedelta(minutes=5)
EARLIER, LATER = T0 - timedelta(hours=2), T0 - timedelta(hours=1)

ANNA = Recipient(
    recipient_id="anna", addresses={Channel.SMS: "+79990000001", Channel.EMAIL: "anna@example.org"}, locale="ru"
)
BORIS = Recipient(recipient_id="boris", addresses={Channel.SMS: "+79990000002"}, events=(StatusCode.HOLD,))
SUBSCRIPTION = Subscription(shipment_id="s-1", recipients=(ANNA, BORIS))


class Texts:
    """Renders the names of what it was asked for, and fails on the channels that it is told to."""

    def __init__(self, *broken: Channel) -> None:
        self.broken = broken

    def render(self, event: StatusEvent, recipient: Recipient, channel: Channel) -> Rendered:
        if channel in self.broken:
            raise TemplateError(event.kind, "lacks a placeholder", "vessel")
        return Rendered(
            title=f"{event.status}", body=f"{channel}", template=event.kind, template_version=3, locale=recipient.locale
        )


def event(**fields: object) -> StatusEvent:
    told = StatusEvent(event_id="e-1", shipment_id="s-1", status=StatusCode.ARRI, occurred_at=EARLIER)
    return msgspec.structs.replace(told, **fields)


def seen(revision: datetime | None = None, source: Source = ELSEWHERE) -> SeenRow:
    return SeenRow(revision=revision, source=source)


def decided(
    what: StatusEvent | None = None,
    *,
    row: SeenRow | None = None,
    subscription: Subscription | None = SUBSCRIPTION,
    waited: int = 0,
    caught_up: bool = True,
    policy: EnrichPolicy = POLICY,
    renderer: Texts | None = None,
    source: Source = HERE,
    replay: int = 0,
) -> Settled | Wait | PassOver:
    case = Case(
        event=what or event(),
        source=source,
        seen=row,
        subscription=subscription,
        waited=waited,
        caught_up=caught_up,
        first_seen_at=SEEN_AT,
        now=T0,
        replay=replay,
    )
    return decide(case, renderer or Texts(), policy)


NOBODY = Subscription(shipment_id="s-1", recipients=(BORIS,))


@pytest.mark.parametrize(
    ("what", "row", "subscription", "becomes"),
    [
        pytest.param(event(), None, SUBSCRIPTION, Disposition.ACCEPTED, id="somebody wants it"),
        pytest.param(event(), None, NOBODY, Disposition.SILENT, id="subscribed, but nobody wants it"),
        pytest.param(event(), None, None, Wait, id="its subscription may be on its way"),
        pytest.param(event(), seen(), SUBSCRIPTION, Disposition.REPEATED, id="a repeat"),
        pytest.param(event(), seen(), None, Disposition.REPEATED, id="a repeat does not wait"),
        pytest.param(event(), seen(EARLIER), SUBSCRIPTION, Disposition.REPEATED, id="without revision, late"),
        pytest.param(event(revision=EARLIER), seen(), SUBSCRIPTION, Disposition.ACCEPTED, id="a first revision"),
        pytest.param(event(revision=LATER), seen(EARLIER), SUBSCRIPTION, Disposition.ACCEPTED, id="a correction"),
        pytest.param(event(revision=LATER), seen(LATER), SUBSCRIPTION, Disposition.REPEATED, id="the same revision"),
        pytest.param(event(revision=EARLIER), seen(LATER), SUBSCRIPTION, Disposition.REPEATED, id="an older one"),
        pytest.param(event(retracted=True), None, SUBSCRIPTION, Disposition.RETRACTED, id="never happened"),
        pytest.param(event(retracted=True), seen(), None, Disposition.RETRACTED, id="taken back after it was told"),
        pytest.param(event(), seen(source=HERE), SUBSCRIPTION, PassOver, id="the same record, read again"),
        pytest.param(event(), seen(source=HERE), None, PassOver, id="the same record, its subscription gone"),
        pytest.param(event(revision=LATER), seen(EARLIER, HERE), SUBSCRIPTION, PassOver, id="whatever it says"),
    ],
)
def test_dispositions(
    what: StatusEvent, row: SeenRow | None, subscription: Subscription | None, becomes: object
) -> None:
    decision = decided(what, row=row, subscription=subscription)
    if isinstance(decision, Settled):
        assert decision.record.disposition is becomes
        assert (decision.record.event_id, decision.record.source) == (what.event_id, HERE)
        assert bool(decision.notifications) == (becomes is Disposition.ACCEPTED)
        assert (decision.seen is not None) == (becomes in {Disposition.ACCEPTED, Disposition.RETRACTED})
    else:
        assert type(decision) is becomes


NEVER = EnrichPolicy(expire_after_s=3_600.0, waits=0)


@pytest.mark.parametrize(
    ("waited", "caught_up", "policy", "waits"),
    [
        pytest.param(0, True, POLICY, True, id="the first look"),
        pytest.param(1, True, POLICY, True, id="the second of three looks"),
        pytest.param(2, True, POLICY, False, id="the last look, at everything"),
        pytest.param(2, False, POLICY, True, id="the last look, but subscriptions are still being read"),
        pytest.param(1 + MORE_WAITS, False, POLICY, True, id="still being read after an outage"),
        pytest.param(2 + MORE_WAITS, False, POLICY, False, id="even so, not for ever"),
        pytest.param(0, True, NEVER, False, id="no grace"),
        pytest.param(0, False, NEVER, False, id="no grace means none"),
    ],
)
def test_waiting_for_a_subscription(waited: int, caught_up: bool, policy: EnrichPolicy, waits: bool) -> None:
    decision = decided(subscription=None, waited=waited, caught_up=caught_up, policy=policy)
    assert isinstance(decision, Wait) is waits
    if isinstance(decision, Settled):
        assert decision.record.disposition is Disposition.UNSUBSCRIBED


def test_what_was_taken_back_before_it_came_is_not_told() -> None:
    taken_back = decided(event(retracted=True, revision=LATER))
    assert isinstance(taken_back, Settled)
    assert taken_back.seen is not None
    row = msgspec.structs.replace(taken_back.seen, source=ELSEWHERE)
    decision = decided(event(revision=EARLIER), row=row)
    assert isinstance(decision, Settled)
    assert decision.record.disposition is Disposition.REPEATED


@pytest.mark.parametrize(
    ("grace_s", "waits"),
    [(150.0, 2), (149.9, 1), (30.0, 1), (1.0, 1), (0.0, 0), (2_000.0, 5)],
    ids=["two tiers", "not quite two", "one", "shorter than any tier", "none", "the last tier again"],
)
def test_grace_is_made_of_tiers(grace_s: float, waits: int) -> None:
    assert waits_within(grace_s, (30.0, 120.0, 600.0)) == waits


def test_the_second_event_of_a_document_is_not_the_first() -> None:
    first = Source(topic=HERE.topic, partition=HERE.partition, offset=HERE.offset, index=1)
    decision = decided(row=seen(source=first))
    assert isinstance(decision, Settled)
    assert decision.record.disposition is Disposition.REPEATED


def test_a_notification_for_each_recipient_and_channel() -> None:
    decision = decided(event(status=StatusCode.HOLD))
    assert isinstance(decision, Settled)
    born = [(one.recipient, one.channel, one.address) for one in decision.notifications]
    assert sorted(born) == [
        ("anna", Channel.EMAIL, "anna@example.org"),
        ("anna", Channel.SMS, "+79990000001"),
        ("boris", Channel.SMS, "+79990000002"),
    ]
    assert {one.lane for one in decision.notifications} == {Lane.URGENT}
    assert decision.record.notifications == tuple(
        Born(id=one.id, channel=one.channel, recipient=one.recipient, lane=one.lane) for one in decision.notifications
    )


def test_a_notification_stands_for_itself() -> None:
    decision = decided()
    assert isinstance(decision, Settled)
    sms = next(one for one in decision.notifications if one.channel is Channel.SMS)
    assert sms.id == notification_id(event().key, "anna", Channel.SMS)
    assert (sms.event_id, sms.shipment_id) == ("e-1", "s-1")
    assert (sms.title, sms.body, sms.template, sms.template_version, sms.locale) == ("ARRI", "sms", "ARRI", 3, "ru")
    assert (sms.created_at, sms.expires_at) == (T0, T0 + timedelta(hours=1))
    assert sms.first_seen_at == decision.record.first_seen_at == SEEN_AT


def test_the_same_event_has_the_same_ids_and_a_correction_others() -> None:
    def ids(what: StatusEvent) -> set[str]:
        decision = decided(what)
        assert isinstance(decision, Settled)
        return {one.id for one in decision.notifications}

    assert ids(event()) == ids(event(reason="another word"))
    assert not ids(event(revision=EARLIER)) & ids(event(revision=LATER))
    assert not ids(event()) & ids(event(issuer="somebody else"))


def test_what_is_remembered_tells_a_repeat_and_the_same_record() -> None:
    first = decided(event(revision=EARLIER))
    assert isinstance(first, Settled)
    assert first.seen == SeenRow(revision=EARLIER, source=HERE)
    assert isinstance(decided(event(revision=EARLIER), row=first.seen), PassOver)


def test_a_template_that_fails_takes_its_own_notification_and_no_other() -> None:
    decision = decided(renderer=Texts(Channel.EMAIL))
    assert isinstance(decision, Settled)
    assert [one.channel for one in decision.notifications] == [Channel.SMS]
    (failed,) = decision.failed
    assert isinstance(failed, Failed)
    assert (failed.notification.channel, failed.notification.body, failed.notification.template) == (
        Channel.EMAIL,
        "",
        "ARRI",
    )
    assert {one.id for one in decision.record.notifications} == {
        decision.notifications[0].id,
        failed.notification.id,
    }, "the ledger awaits an outcome for both"


def test_an_event_none_of_whose_texts_can_be_made_is_accepted_all_the_same() -> None:
    decision = decided(renderer=Texts(*Channel))
    assert isinstance(decision, Settled)
    assert decision.record.disposition is Disposition.ACCEPTED
    assert (decision.notifications, len(decision.failed)) == ((), 2)
    assert decision.seen is not None, "a repeat would fail again, and end twice"


def test_the_ledger_has_a_line_for_what_is_no_event() -> None:
    line = refused("eventID: missing", HERE, SEEN_AT, T0)
    assert (line.disposition, line.reason, line.source) == (Disposition.REFUSED, "eventID: missing", HERE)
    assert (line.event_id, line.shipment_id, line.notifications) == (None, None, ())


LETTER = Source(topic="herald.dlq.v1", partition=2, offset=9, index=1)
SMS, EMAIL = (notification_id(event().key, "anna", channel) for channel in (Channel.SMS, Channel.EMAIL))


def told_but_for_sms() -> SeenRow:
    decision = decided(renderer=Texts(Channel.SMS))
    assert isinstance(decision, Settled)
    assert decision.seen is not None
    return decision.seen


def replayed(row: SeenRow | None, **fields: object) -> Settled:
    decision = decided(row=row, **{"source": LETTER, "replay": 1, **fields})  # type: ignore[arg-type]
    assert isinstance(decision, Settled)
    return decision


def test_a_replay_tells_those_alone_whose_text_could_not_be_made() -> None:
    row = told_but_for_sms()
    assert row.failed == (SMS,)
    decision = replayed(row)
    (told,) = decision.notifications
    assert (told.channel, told.id, told.replay_of) == (Channel.SMS, replay_id(SMS, "2-9/1"), SMS)
    assert (told.first_seen_at, told.created_at) == (SEEN_AT, T0)
    line = decision.record
    assert (line.disposition, line.source, line.status) == (Disposition.ACCEPTED, LETTER, None)
    assert line.reason == "replay 1 of the dead letter 2-9"
    assert [one.id for one in line.notifications] == [told.id]
    assert decision.seen == SeenRow(revision=row.revision, source=row.source, replays=(LETTER,))


def test_a_replay_that_fails_again_can_be_replayed_under_another_id() -> None:
    decision = replayed(told_but_for_sms(), renderer=Texts(Channel.SMS))
    (failed,) = decision.failed
    assert (failed.notification.id, failed.notification.replay_of) == (replay_id(SMS, "2-9/1"), SMS)
    assert decision.seen is not None
    assert decision.seen.failed == (SMS,)
    second = replayed(decision.seen, source=msgspec.structs.replace(LETTER, offset=10))
    assert [one.id for one in second.notifications] == [replay_id(SMS, "2-10/1")]


@pytest.mark.parametrize(
    ("row", "subscription", "becomes"),
    [
        pytest.param(None, SUBSCRIPTION, Disposition.REPEATED, id="nobody knows any more who was told"),
        pytest.param(seen(), SUBSCRIPTION, Disposition.REPEATED, id="everybody was told"),
        pytest.param(
            SeenRow(revision=LATER, source=ELSEWHERE, failed=(SMS,)),
            SUBSCRIPTION,
            Disposition.REPEATED,
            id="a later revision was told",
        ),
        pytest.param(told_but_for_sms(), None, Disposition.UNSUBSCRIBED, id="the subscription is gone"),
        pytest.param(told_but_for_sms(), NOBODY, Disposition.SILENT, id="who was to be told has left"),
    ],
)
def test_a_replay_tells_nobody_twice_and_nobody_who_has_left(
    row: SeenRow | None, subscription: Subscription | None, becomes: Disposition
) -> None:
    decision = replayed(row, subscription=subscription, waited=POLICY.waits)
    assert (decision.record.disposition, decision.notifications) == (becomes, ())
    assert decision.record.reason == "replay 1 of the dead letter 2-9"
    if row is not None:
        assert decision.seen is not None
        assert (decision.seen.failed, decision.seen.replays) == (row.failed, (LETTER,)), (
            "it has one line, however often"
        )


def test_a_replay_waits_for_the_subscription_to_be_read() -> None:
    """After a restart it may be on its way."""
    row = told_but_for_sms()
    assert isinstance(decided(row=row, source=LETTER, replay=1, subscription=None), Wait)
    last_look = {"subscription": None, "waited": POLICY.waits, "caught_up": False}
    assert isinstance(decided(row=row, source=LETTER, replay=1, **last_look), Wait)  # type: ignore[arg-type]


def test_who_is_not_subscribed_now_can_still_be_told_by_a_later_replay() -> None:
    row = SeenRow(revision=None, source=ELSEWHERE, failed=(SMS, EMAIL))
    only_sms = msgspec.structs.replace(ANNA, channels=(Channel.SMS,))
    decision = replayed(row, subscription=Subscription(shipment_id="s-1", recipients=(only_sms,)))
    assert [one.replay_of for one in decision.notifications] == [SMS]
    assert decision.seen is not None
    assert decision.seen.failed == (EMAIL,)


def test_of_replays_the_last_are_known_again() -> None:
    row = told_but_for_sms()
    many = [msgspec.structs.replace(LETTER, offset=offset) for offset in range(REPLAYS + 1)]
    for source in many:
        decision = replayed(row, source=source, renderer=Texts(Channel.SMS))
        assert decision.seen is not None
        row = decision.seen
    assert row.replays == tuple(many[1:])


def test_a_replay_that_was_dealt_with_is_passed_over() -> None:
    done = replayed(told_but_for_sms()).seen
    assert isinstance(decided(row=done, source=LETTER, replay=1), PassOver)
    assert isinstance(decided(row=done, source=ELSEWHERE), Settled)
