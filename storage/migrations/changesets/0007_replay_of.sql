--liquibase formatted sql

--changeset herald:0007-replay-of
-- Null rewrites nothing, and the version before, which does not name the column, goes on writing.
SET LOCAL lock_timeout = '10s';

ALTER TABLE notification_outcome ADD COLUMN replay_of uuid;

COMMENT ON COLUMN notification_outcome.replay_of IS 'Of a replay: the dead-lettered notification that it told again, which has the same shipment_id and first_seen_at; null where it is none, and where a worker of before this column was there had a part in it.';
--rollback ALTER TABLE notification_outcome DROP COLUMN replay_of;
