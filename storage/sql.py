"""Every statement that adapters and commands send to Postgres; the schema itself stands in ``migrations/``."""

from typing import NamedTuple

from pipeline.outcomes import Outcome

OUTCOME_COLUMNS = Outcome.__struct_fields__  # the table's columns are the record's fields

LEDGER_COLUMNS = (
    "source_topic",
    "source_partition",
    "source_offset",
    "source_index",
    "event_id",
    "shipment_id",
    "status",
    "disposition",
    "reason",
    "notifications",
    "notification_ids",
    "recorded_at",
    "first_seen_at",
)


class Table(NamedTuple):
    """Where rows go; by way of ``staging`` where some of them may be there already."""

    name: str
    columns: tuple[str, ...]
    staging: str

    @property
    def keep(self) -> str:
        return KEEP.format(name=self.name, staging=self.staging, columns=", ".join(self.columns))


KEEP = "INSERT INTO {name} ({columns}) SELECT {columns} FROM {staging} ON CONFLICT DO NOTHING"

OUTCOMES = Table("notification_outcome", OUTCOME_COLUMNS, "incoming_outcome")
EVENTS = Table("event_ledger", LEDGER_COLUMNS, "incoming_event")

# A staging table lives as long as its connection and empties itself: made once, it leaves the catalogs in peace.
# Without constraints of its own, so that a record is refused by the real table and for the real table's reason.
# Its columns are named, and the default partitions are there only once all migrations have run: until then it waits.
MAKE_STAGING = """
CREATE TEMPORARY TABLE {staging} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {name}_default WITH NO DATA;
"""
STAGING = "".join(
    MAKE_STAGING.format(name=table.name, staging=table.staging, columns=", ".join(table.columns))
    for table in (OUTCOMES, EVENTS)
)

# To plan for sixty partitions takes ten times as long as to look into them, and no plan depends on who is asked for.
PLAN_ONCE = {"plan_cache_mode": "force_generic_plan"}

# A repeat that came when its event had been forgotten has the same id and a row of its own: the first one stands.
OUTCOME_BY_ID = """
SELECT
    notification_id AS id, event_id, shipment_id, channel, recipient, lane, status, reason, provider,
    provider_reference, attempts, template, template_version, locale, created_at, finished_at,
    replay_of::text
FROM notification_outcome
WHERE notification_id = $1
ORDER BY finished_at
LIMIT 1
"""

BORN_BY_ID = """
SELECT born.id, ledger.event_id, ledger.shipment_id, born.channel, born.recipient, born.lane, 'created' AS status,
    ledger.recorded_at AS created_at
FROM event_ledger AS ledger
CROSS JOIN LATERAL jsonb_to_recordset(ledger.notifications)
    AS born (id uuid, channel text, recipient text, lane text)
WHERE ledger.notification_ids @> ARRAY[$1::uuid] AND born.id = $1
ORDER BY ledger.recorded_at
LIMIT 1
"""

# Both sides are needed: what is on its way is in the ledger alone, a replayed dead letter among the outcomes alone.
# The ledger's own time goes first in the order, so that a notification keeps its place when it ends between two pages.
# The cost of a page is that of one shipment's history, a few hundred rows.
PAGE_OF_SHIPMENT = """
WITH born AS (
    SELECT DISTINCT ON (born.id)
        born.id, ledger.event_id, ledger.shipment_id, born.channel, born.recipient, born.lane, ledger.recorded_at
    FROM event_ledger AS ledger
    CROSS JOIN LATERAL jsonb_to_recordset(ledger.notifications)
        AS born (id uuid, channel text, recipient text, lane text)
    WHERE ledger.shipment_id = $1
    ORDER BY born.id, ledger.recorded_at
), ended AS (
    SELECT DISTINCT ON (notification_id) * FROM notification_outcome
    WHERE shipment_id = $1
    ORDER BY notification_id, finished_at
), known AS (
    SELECT
        coalesce(ended.notification_id, born.id) AS id,
        coalesce(ended.event_id, born.event_id) AS event_id,
        coalesce(ended.shipment_id, born.shipment_id) AS shipment_id,
        coalesce(ended.channel, born.channel) AS channel,
        coalesce(ended.recipient, born.recipient) AS recipient,
        coalesce(ended.lane, born.lane) AS lane,
        coalesce(ended.status, 'created') AS status,
        ended.reason, ended.provider, ended.provider_reference,
        coalesce(ended.attempts, 0) AS attempts,
        ended.template, ended.template_version, ended.locale,
        coalesce(ended.created_at, born.recorded_at) AS created_at,
        ended.finished_at, ended.replay_of::text,
        coalesce(born.recorded_at, ended.created_at) AS listed_at
    FROM born FULL JOIN ended ON ended.notification_id = born.id
)
SELECT * FROM known
WHERE $2::timestamptz IS NULL OR (listed_at, id) > ($2, $3::uuid)
ORDER BY listed_at, id
LIMIT $4
"""

# The account of what was recorded since $1. What was first seen more than a day before is left out, so that partitions
# that were over by then are not read.

# A replayed dead letter has a line of its own, and is no event that came in.
COUNT_DISPOSITIONS = """
SELECT disposition, count(*) FROM event_ledger
WHERE first_seen_at >= $1::timestamptz - interval '1 day' AND recorded_at >= $1 AND source_topic <> 'herald.dlq.v1'
GROUP BY 1
"""
COUNT_REFUSALS = """
SELECT reason, count(*) FROM event_ledger
WHERE first_seen_at >= $1::timestamptz - interval '1 day' AND recorded_at >= $1 AND disposition = 'refused'
GROUP BY 1 ORDER BY 2 DESC, 1
"""
COUNT_NOTIFICATIONS = """
SELECT count(DISTINCT id) FROM event_ledger, unnest(notification_ids) AS born (id)
WHERE first_seen_at >= $1::timestamptz - interval '1 day' AND recorded_at >= $1
"""
COUNT_OUTCOMES = """
SELECT channel, status, count(*) FROM notification_outcome
WHERE first_seen_at >= $1::timestamptz - interval '1 day' AND finished_at >= $1 GROUP BY 1, 2
"""
# As the view `unaccounted_notification` has it, which knows of no range; and for how many seconds the oldest waits.
# An outcome may be of an earlier record of the event, or have no time: a worker of the version before gives it none.
UNACCOUNTED = """
SELECT count(DISTINCT born.id), coalesce(extract(epoch FROM now() - min(recorded_at)), 0)::float8
FROM event_ledger CROSS JOIN unnest(notification_ids) AS born (id)
WHERE first_seen_at >= $1::timestamptz - interval '1 day' AND recorded_at >= $1 AND NOT EXISTS (
    SELECT FROM notification_outcome AS outcome
    WHERE outcome.notification_id = born.id
        AND (outcome.first_seen_at >= $1::timestamptz - interval '15 days' OR outcome.first_seen_at = 'epoch')
)
"""

APPLIED_CHANGESETS = "SELECT id FROM databasechangelog ORDER BY orderexecuted"

PING = "SELECT 1"

# Partitions, made and dropped by `storage.partitions`. Names and bounds cannot be parameters: they are our own.

RETENTION_LOCK = "SELECT pg_advisory_lock(hashtext('herald retention'))"

# The default partition and whatever has an open end have no span. Times are read in the session's zone, as written.
SPANS = r"""
SELECT child.relname AS name, bounds[1]::timestamptz AS since, bounds[2]::timestamptz AS until
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
CROSS JOIN LATERAL
    regexp_match(pg_get_expr(child.relpartbound, child.oid), 'FROM \(''(.*)''\) TO \(''(.*)''\)') AS bounds
WHERE inhparent = $1::text::regclass AND bounds IS NOT NULL AND child.relname <> $1 || '_undated'
"""

# What holds up others waits no longer than this for its lock, and they for it.
SHORT_LOCK = "SET LOCAL lock_timeout = '3s'"

# The default partition is locked first, or a row could come into it between the move and the check that none is left.
# Indexes are built by ATTACH, of the rows that are there by then.
MAKE_PARTITION = """
LOCK TABLE ONLY {table}_default IN ACCESS EXCLUSIVE MODE;
CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION);
"""
MOVE_ROWS = """
WITH moved AS (
    DELETE FROM {table}_default WHERE first_seen_at >= '{since}' AND first_seen_at < '{until}' RETURNING *
)
INSERT INTO {name} SELECT * FROM moved
"""
ATTACH_PARTITION = "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{since}') TO ('{until}')"

# Files are deleted after the locks are gone. DETACH CONCURRENTLY is not to be had beside a default partition.
DROP_PARTITION = "DROP TABLE {name}"

COUNT_OLD_ROWS = "SELECT count(*) FROM {name} WHERE {clock} < $1"
# In parts: a delete that does not fit into the time limit would be done for nothing, day after day.
DELETE_OLD_ROWS = "DELETE FROM {name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name} WHERE {clock} < $1 LIMIT $2))"
COUNT_STRAYS = "SELECT count(*) FROM (SELECT FROM {table}_default LIMIT $1) AS stray"
