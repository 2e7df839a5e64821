"""What are the topics and the table of the plain application called? For it, and for whoever creates and reads them."""

import topics

# The application, its consumer group and its Postgres table.
PLAIN = "plain"
URGENT_LANE, BULK_LANE = "plain.sms.urgent.v1", "plain.sms.bulk.v1"
RETRY = "plain.retry.v1"
OUTCOMES = "plain.outcomes.v1"
SUBSCRIPTIONS_TABLE = "subscriptions"
CHANGELOG = topics.changelog(PLAIN, SUBSCRIPTIONS_TABLE)

PARTITIONS = 4
# What the group reads.
INPUTS = (topics.STATUS, topics.SUBSCRIPTIONS, URGENT_LANE, BULK_LANE, RETRY, OUTCOMES)
COMPACTED = (topics.SUBSCRIPTIONS, CHANGELOG)
