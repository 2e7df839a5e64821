--liquibase formatted sql

--changeset herald:0005-undated-rows runInTransaction:false
-- All that takes long is done here, while others read and write: with these indexes and valid constraints, the tables
-- become partitions in an instant. What broke off half way starts anew.
DROP INDEX CONCURRENTLY IF EXISTS notification_outcome_undated_pkey;
CREATE UNIQUE INDEX CONCURRENTLY notification_outcome_undated_pkey ON notification_outcome (notification_id, first_seen_at);
ALTER TABLE notification_outcome VALIDATE CONSTRAINT notification_outcome_undated;
DROP INDEX CONCURRENTLY IF EXISTS event_ledger_undated_pkey;
CREATE UNIQUE INDEX CONCURRENTLY event_ledger_undated_pkey
    ON event_ledger (source_topic, source_partition, source_offset, source_index, first_seen_at);
ALTER TABLE event_ledger VALIDATE CONSTRAINT event_ledger_undated;
--rollback DROP INDEX IF EXISTS event_ledger_undated_pkey;
--rollback DROP INDEX IF EXISTS notification_outcome_undated_pkey;
