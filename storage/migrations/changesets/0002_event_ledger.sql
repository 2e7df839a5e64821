--liquibase formatted sql

--changeset herald:0002-event-ledger
CREATE TABLE event_ledger (
    source_topic     text        NOT NULL,
    source_partition integer     NOT NULL,
    source_offset    bigint      NOT NULL,
    source_index     integer     NOT NULL,
    event_id         text,
    shipment_id      text,
    status           text,
    disposition      text        NOT NULL,
    reason           text,
    notifications    jsonb       NOT NULL,
    notification_ids uuid[]      NOT NULL,
    recorded_at      timestamptz NOT NULL,
    PRIMARY KEY (source_topic, source_partition, source_offset, source_index),
    CONSTRAINT event_ledger_disposition CHECK (
        disposition IN ('accepted', 'repeated', 'refused', 'unsubscribed', 'silent', 'retracted')
    ),
    CONSTRAINT event_ledger_notifications CHECK (jsonb_array_length(notifications) = cardinality(notification_ids))
);

CREATE INDEX event_ledger_shipment ON event_ledger (shipment_id);
CREATE INDEX event_ledger_notification ON event_ledger USING gin (notification_ids);

COMMENT ON TABLE event_ledger IS 'What became of each cargo status event: one row for each time it was published.';
COMMENT ON COLUMN event_ledger.source_topic IS 'The Kafka topic that the event was first read from.';
COMMENT ON COLUMN event_ledger.source_partition IS 'The partition of that topic.';
COMMENT ON COLUMN event_ledger.source_offset IS 'The offset in that partition.';
COMMENT ON COLUMN event_ledger.source_index IS 'Which event of a document that carries many, from 0.';
COMMENT ON COLUMN event_ledger.event_id IS 'The event as its publisher named it; null where it was too broken to have a name.';
COMMENT ON COLUMN event_ledger.shipment_id IS 'The shipment that the event is about; null where it was too broken to say.';
COMMENT ON COLUMN event_ledger.status IS 'The cargo status that it reports; null where it was too broken to say.';
COMMENT ON COLUMN event_ledger.disposition IS 'accepted (became notifications), repeated (seen before), refused (broke its contract, see the dead letters), unsubscribed (nobody asked), silent (not worth telling) or retracted (withdrawn by its publisher).';
COMMENT ON COLUMN event_ledger.reason IS 'Why, for people; null where the disposition says it all.';
COMMENT ON COLUMN event_ledger.notifications IS 'The notifications it gave birth to: an array of {id, channel, recipient, lane}; recipient is the subscriber''s own id of the person.';
COMMENT ON COLUMN event_ledger.notification_ids IS 'The ids in notifications, in its order, for look-ups.';
COMMENT ON COLUMN event_ledger.recorded_at IS 'When it was decided what becomes of the event.';
--rollback DROP TABLE event_ledger;
