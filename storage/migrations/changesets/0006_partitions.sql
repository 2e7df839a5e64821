--liquibase formatted sql

--changeset herald:0006-partitions
-- Each table becomes the partition of the undated rows of a table partitioned by first_seen_at, without a row being
-- read. The partitions of the days to come are made by `herald retention`; what fits none goes into the default one.
SET LOCAL lock_timeout = '10s';

DROP VIEW unaccounted_notification;

ALTER TABLE notification_outcome RENAME TO notification_outcome_undated;
ALTER INDEX notification_outcome_shipment RENAME TO notification_outcome_undated_shipment;
ALTER TABLE notification_outcome_undated
    DROP CONSTRAINT notification_outcome_pkey,
    ADD CONSTRAINT notification_outcome_undated_pkey PRIMARY KEY USING INDEX notification_outcome_undated_pkey;

-- Columns of fixed length come first: no padding between them, and each is found without reading those before it.
CREATE TABLE notification_outcome (
    notification_id    uuid        NOT NULL,
    first_seen_at      timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    created_at         timestamptz NOT NULL,
    finished_at        timestamptz NOT NULL,
    attempts           integer     NOT NULL,
    template_version   integer     NOT NULL,
    event_id           text        NOT NULL,
    shipment_id        text        NOT NULL,
    channel            text        NOT NULL,
    recipient          text        NOT NULL,
    status             text        NOT NULL,
    template           text        NOT NULL,
    locale             text        NOT NULL,
    lane               text        NOT NULL,
    provider           text,
    provider_reference text,
    reason             text,
    PRIMARY KEY (notification_id, first_seen_at),
    CONSTRAINT notification_outcome_channel CHECK (channel IN ('sms', 'email', 'push')),
    CONSTRAINT notification_outcome_lane CHECK (lane IN ('urgent', 'bulk')),
    CONSTRAINT notification_outcome_final CHECK (
        status IN (
            'sent', 'delivered', 'permanent-failure', 'temporary-failure', 'technical-failure',
            'suppressed', 'cancelled', 'expired', 'unconfirmed'
        )
    ),
    CONSTRAINT notification_outcome_attempts CHECK (attempts >= 0)
) PARTITION BY RANGE (first_seen_at);

CREATE INDEX notification_outcome_shipment ON notification_outcome (shipment_id);

ALTER TABLE notification_outcome ATTACH PARTITION notification_outcome_undated
    FOR VALUES FROM ('1970-01-01 00:00:00+00') TO ('1970-01-01 00:00:00.001+00');
ALTER TABLE notification_outcome_undated DROP CONSTRAINT notification_outcome_undated;
CREATE TABLE notification_outcome_default PARTITION OF notification_outcome DEFAULT;

ALTER TABLE event_ledger RENAME TO event_ledger_undated;
ALTER INDEX event_ledger_shipment RENAME TO event_ledger_undated_shipment;
ALTER INDEX event_ledger_notification RENAME TO event_ledger_undated_notification;
ALTER TABLE event_ledger_undated
    DROP CONSTRAINT event_ledger_pkey,
    ADD CONSTRAINT event_ledger_undated_pkey PRIMARY KEY USING INDEX event_ledger_undated_pkey;

CREATE TABLE event_ledger (
    first_seen_at    timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    recorded_at      timestamptz NOT NULL,
    source_offset    bigint      NOT NULL,
    source_partition integer     NOT NULL,
    source_index     integer     NOT NULL,
    source_topic     text        NOT NULL,
    disposition      text        NOT NULL,
    event_id         text,
    shipment_id      text,
    status           text,
    reason           text,
    notifications    jsonb       NOT NULL,
    notification_ids uuid[]      NOT NULL,
    PRIMARY KEY (source_topic, source_partition, source_offset, source_index, first_seen_at),
    CONSTRAINT event_ledger_disposition CHECK (
        disposition IN ('accepted', 'repeated', 'refused', 'unsubscribed', 'silent', 'retracted')
    ),
    CONSTRAINT event_ledger_notifications CHECK (jsonb_array_length(notifications) = cardinality(notification_ids))
) PARTITION BY RANGE (first_seen_at);

CREATE INDEX event_ledger_shipment ON event_ledger (shipment_id);
CREATE INDEX event_ledger_notification ON event_ledger USING gin (notification_ids);

ALTER TABLE event_ledger ATTACH PARTITION event_ledger_undated
    FOR VALUES FROM ('1970-01-01 00:00:00+00') TO ('1970-01-01 00:00:00.001+00');
ALTER TABLE event_ledger_undated DROP CONSTRAINT event_ledger_undated;
CREATE TABLE event_ledger_default PARTITION OF event_ledger DEFAULT;

CREATE VIEW unaccounted_notification AS
SELECT DISTINCT ON (born.id)
    born.id,
    ledger.event_id,
    ledger.shipment_id,
    born.channel,
    born.recipient,
    ledger.recorded_at
FROM event_ledger AS ledger
CROSS JOIN LATERAL jsonb_to_recordset(ledger.notifications) AS born (id uuid, channel text, recipient text)
WHERE NOT EXISTS (SELECT FROM notification_outcome AS outcome WHERE outcome.notification_id = born.id)
ORDER BY born.id, ledger.recorded_at;

COMMENT ON TABLE notification_outcome IS 'How each notification ended: one row a notification, written once, never changed. Partitioned by first_seen_at: a query that names its range reads those partitions alone.';
COMMENT ON COLUMN notification_outcome.notification_id IS 'The same event, recipient and channel always give the same id; a replayed dead letter has a new one.';
COMMENT ON COLUMN notification_outcome.first_seen_at IS 'Kafka''s own time of the event that is told; 1970-01-01 where it is not known.';
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

COMMENT ON TABLE event_ledger IS 'What became of each cargo status event: one row for each time it was published. Partitioned by first_seen_at, as notification_outcome is.';
COMMENT ON COLUMN event_ledger.source_topic IS 'The Kafka topic that the event was first read from.';
COMMENT ON COLUMN event_ledger.source_partition IS 'The partition of that topic.';
COMMENT ON COLUMN event_ledger.source_offset IS 'The offset in that partition.';
COMMENT ON COLUMN event_ledger.source_index IS 'Which event of a document that carries many, from 0.';
COMMENT ON COLUMN event_ledger.first_seen_at IS 'Kafka''s own time of the record that the event was first read from; 1970-01-01 where it is not known.';
COMMENT ON COLUMN event_ledger.event_id IS 'The event as its publisher named it; null where it was too broken to have a name.';
COMMENT ON COLUMN event_ledger.shipment_id IS 'The shipment that the event is about; null where it was too broken to say.';
COMMENT ON COLUMN event_ledger.status IS 'The cargo status that it reports; null where it was too broken to say.';
COMMENT ON COLUMN event_ledger.disposition IS 'accepted (became notifications), repeated (seen before), refused (broke its contract, see the dead letters), unsubscribed (nobody asked), silent (not worth telling) or retracted (withdrawn by its publisher).';
COMMENT ON COLUMN event_ledger.reason IS 'Why, for people; null where the disposition says it all.';
COMMENT ON COLUMN event_ledger.notifications IS 'The notifications it gave birth to: an array of {id, channel, recipient, lane}; recipient is the subscriber''s own id of the person.';
COMMENT ON COLUMN event_ledger.notification_ids IS 'The ids in notifications, in its order, for look-ups.';
COMMENT ON COLUMN event_ledger.recorded_at IS 'When it was decided what becomes of the event.';

COMMENT ON VIEW unaccounted_notification IS 'The account: notifications that came into being and have no final status yet. Empty when all work is done; a row that stays is a loss.';
COMMENT ON COLUMN unaccounted_notification.id IS 'The notification.';
COMMENT ON COLUMN unaccounted_notification.event_id IS 'The event that gave birth to it.';
COMMENT ON COLUMN unaccounted_notification.shipment_id IS 'The shipment that the event is about.';
COMMENT ON COLUMN unaccounted_notification.channel IS 'sms, email or push.';
COMMENT ON COLUMN unaccounted_notification.recipient IS 'The subscriber''s own id of the person to tell.';
COMMENT ON COLUMN unaccounted_notification.recorded_at IS 'When it came into being.';
--rollback DROP VIEW unaccounted_notification;
--rollback ALTER TABLE notification_outcome DETACH PARTITION notification_outcome_undated;
--rollback ALTER TABLE notification_outcome_undated DROP CONSTRAINT notification_outcome_undated_pkey, ADD CONSTRAINT notification_outcome_key PRIMARY KEY (notification_id);
--rollback INSERT INTO notification_outcome_undated (
--rollback     notification_id, event_id, shipment_id, channel, recipient, status, reason, provider, provider_reference,
--rollback     attempts, template, template_version, locale, lane, created_at, finished_at
--rollback ) SELECT
--rollback     notification_id, event_id, shipment_id, channel, recipient, status, reason, provider, provider_reference,
--rollback     attempts, template, template_version, locale, lane, created_at, finished_at
--rollback FROM notification_outcome ORDER BY finished_at ON CONFLICT DO NOTHING;
--rollback DROP TABLE notification_outcome;
--rollback ALTER TABLE notification_outcome_undated RENAME TO notification_outcome;
--rollback ALTER INDEX notification_outcome_undated_shipment RENAME TO notification_outcome_shipment;
--rollback ALTER TABLE notification_outcome RENAME CONSTRAINT notification_outcome_key TO notification_outcome_pkey;
--rollback ALTER TABLE notification_outcome
--rollback     ADD CONSTRAINT notification_outcome_undated CHECK (
--rollback         first_seen_at >= '1970-01-01 00:00:00+00' AND first_seen_at < '1970-01-01 00:00:00.001+00'
--rollback     );
--rollback CREATE UNIQUE INDEX notification_outcome_undated_pkey ON notification_outcome (notification_id, first_seen_at);
--rollback ALTER TABLE event_ledger DETACH PARTITION event_ledger_undated;
--rollback ALTER TABLE event_ledger_undated
--rollback     DROP CONSTRAINT event_ledger_undated_pkey,
--rollback     ADD CONSTRAINT event_ledger_key PRIMARY KEY (source_topic, source_partition, source_offset, source_index);
--rollback INSERT INTO event_ledger_undated (
--rollback     source_topic, source_partition, source_offset, source_index, event_id, shipment_id, status, disposition,
--rollback     reason, notifications, notification_ids, recorded_at
--rollback ) SELECT
--rollback     source_topic, source_partition, source_offset, source_index, event_id, shipment_id, status, disposition,
--rollback     reason, notifications, notification_ids, recorded_at
--rollback FROM event_ledger ORDER BY recorded_at ON CONFLICT DO NOTHING;
--rollback DROP TABLE event_ledger;
--rollback ALTER TABLE event_ledger_undated RENAME TO event_ledger;
--rollback ALTER INDEX event_ledger_undated_shipment RENAME TO event_ledger_shipment;
--rollback ALTER INDEX event_ledger_undated_notification RENAME TO event_ledger_notification;
--rollback ALTER TABLE event_ledger RENAME CONSTRAINT event_ledger_key TO event_ledger_pkey;
--rollback ALTER TABLE event_ledger
--rollback     ADD CONSTRAINT event_ledger_undated CHECK (
--rollback         first_seen_at >= '1970-01-01 00:00:00+00' AND first_seen_at < '1970-01-01 00:00:00.001+00'
--rollback     );
--rollback CREATE UNIQUE INDEX event_ledger_undated_pkey ON event_ledger (source_topic, source_partition, source_offset, source_index, first_seen_at);
--rollback CREATE VIEW unaccounted_notification AS
--rollback SELECT DISTINCT ON (born.id) born.id, ledger.event_id, ledger.shipment_id, born.channel, born.recipient, ledger.recorded_at
--rollback FROM event_ledger AS ledger
--rollback CROSS JOIN LATERAL jsonb_to_recordset(ledger.notifications) AS born (id uuid, channel text, recipient text)
--rollback WHERE NOT EXISTS (SELECT FROM notification_outcome AS outcome WHERE outcome.notification_id = born.id)
--rollback ORDER BY born.id, ledger.recorded_at;
