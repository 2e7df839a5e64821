--liquibase formatted sql

--changeset herald:0003-unaccounted-notification
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

COMMENT ON VIEW unaccounted_notification IS 'The account: notifications that came into being and have no final status yet. Empty when all work is done; a row that stays is a loss.';
COMMENT ON COLUMN unaccounted_notification.id IS 'The notification.';
COMMENT ON COLUMN unaccounted_notification.event_id IS 'The event that gave birth to it.';
COMMENT ON COLUMN unaccounted_notification.shipment_id IS 'The shipment that the event is about.';
COMMENT ON COLUMN unaccounted_notification.channel IS 'sms, email or push.';
COMMENT ON COLUMN unaccounted_notification.recipient IS 'The subscriber''s own id of the person to tell.';
COMMENT ON COLUMN unaccounted_notification.recorded_at IS 'When it came into being.';
--rollback DROP VIEW unaccounted_notification;
