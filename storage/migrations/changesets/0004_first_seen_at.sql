--liquibase formatted sql

--changeset herald:0004-first-seen-at
-- Rows that are there get the epoch, which says that the time is not known. As a constant it rewrites nothing, and the
-- version before, which does not name the column, goes on writing.
SET LOCAL lock_timeout = '10s';

ALTER TABLE notification_outcome
    ADD COLUMN first_seen_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    ADD CONSTRAINT notification_outcome_undated CHECK (
        first_seen_at >= '1970-01-01 00:00:00+00' AND first_seen_at < '1970-01-01 00:00:00.001+00'
    ) NOT VALID;
ALTER TABLE event_ledger
    ADD COLUMN first_seen_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    ADD CONSTRAINT event_ledger_undated CHECK (
        first_seen_at >= '1970-01-01 00:00:00+00' AND first_seen_at < '1970-01-01 00:00:00.001+00'
    ) NOT VALID;

COMMENT ON COLUMN notification_outcome.first_seen_at IS 'Kafka''s own time of the event that is told; 1970-01-01 where it is not known.';
COMMENT ON COLUMN event_ledger.first_seen_at IS 'Kafka''s own time of the record that the event was first read from; 1970-01-01 where it is not known.';
--rollback ALTER TABLE event_ledger DROP COLUMN first_seen_at;
--rollback ALTER TABLE notification_outcome DROP COLUMN first_seen_at;
