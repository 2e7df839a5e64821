--liquibase formatted sql

--changeset herald:0001-notification-outcome
CREATE TABLE notification_outcome (
    notification_id    uuid        PRIMARY KEY,
    event_id           text        NOT NULL,
    shipment_id        text        NOT NULL,
    channel            text        NOT NULL,
    recipient          text        NOT NULL,
    status             text        NOT NULL,
    reason             text,
    provider           text,
    provider_reference text,
    attempts           integer     NOT NULL,
    template           text        NOT NULL,
    template_version   integer     NOT NULL,
    locale             text        NOT NULL,
    lane               text        NOT NULL,
    created_at         timestamptz NOT NULL,
    finished_at        timestamptz NOT NULL,
    CONSTRAINT notification_outcome_channel CHECK (channel IN ('sms', 'email', 'push')),
    CONSTRAINT notification_outcome_lane CHECK (lane IN ('urgent', 'bulk')),
    CONSTRAINT notification_outcome_final CHECK (
        status IN (
            'sent', 'delivered', 'permanent-failure', 'temporary-failure', 'technical-failure',
            'suppressed', 'cancelled', 'expired', 'unconfirmed'
        )
    ),
    CONSTRAINT notification_outcome_attempts CHECK (attempts >= 0)
);

CREATE INDEX notification_outcome_shipment ON notification_outcome (shipment_id);

COMMENT ON TABLE notification_outcome IS 'How each notification ended: one row a notification, written once, never changed.';
COMMENT ON COLUMN notification_outcome.notification_id IS 'The same event, recipient and channel always give the same id; a replayed dead letter has a new one.';
COMMENT ON COLUMN notification_outcome.event_id IS 'The cargo status event that was told, as its publisher named it.';
COMMENT ON COLUMN notification_outcome.shipment_id IS 'The shipment that the event is about.';
COMMENT ON COLUMN notification_outcome.channel IS 'sms, email or push.';
COMMENT ON COLUMN notification_outcome.recipient IS 'The subscriber''s own id of the person told; never a phone number or an address.';
COMMENT ON COLUMN notification_outcome.status IS 'The final status: sent (no receipt was expected) or delivered is success; temporary-failure is retries or time run out; technical-failure is ours, see the dead letters; unconfirmed may or may not have been told.';
COMMENT ON COLUMN notification_outcome.reason IS 'Why it ended so, for people; null where there is nothing to explain.';
COMMENT ON COLUMN notification_outcome.provider IS 'Who was asked last to deliver it; null where nobody was.';
COMMENT ON COLUMN notification_outcome.provider_reference IS 'The provider''s own id of the message; null where it gave none.';
COMMENT ON COLUMN notification_outcome.attempts IS 'Provider calls made for it; 0 where it ended before the first.';
COMMENT ON COLUMN notification_outcome.template IS 'The template that it was rendered from.';
COMMENT ON COLUMN notification_outcome.template_version IS 'The version of that template.';
COMMENT ON COLUMN notification_outcome.locale IS 'The language it was rendered in, after fallback.';
COMMENT ON COLUMN notification_outcome.lane IS 'urgent or bulk.';
COMMENT ON COLUMN notification_outcome.created_at IS 'When the event became this notification.';
COMMENT ON COLUMN notification_outcome.finished_at IS 'When the final status was reached.';
--rollback DROP TABLE notification_outcome;
