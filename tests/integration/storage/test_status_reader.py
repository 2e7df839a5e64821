"""What is told about a notification, whatever the state of Redis and Postgres; and paging through a shipment."""

import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from redis.asyncio import Redis

from pipeline.errors import CacheUnavailable, StorageUnavailable
from pipeline.outcomes import Outcome, Status
from pipeline.ports import Waiting
from storage.postgres import PostgresStatuses
from storage.reader import StatusReader
from storage.redis import OUTCOME, StatusCache
from storage.statuses import NotificationStatus


@pytest.fixture
def reader(cache, statuses) -> StatusReader:
    return StatusReader(cache, statuses)


@pytest.fixture
async def redis(redis_url) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def fresh() -> uuid.UUID:
    return uuid.uuid4()


def written(outcome: Outcome) -> tuple[str, bytes]:
    """As the sink finds it in Kafka."""
    return outcome.notification_id, msgspec.json.encode(outcome)


def waiting(make, notification_id, attempts=2, **change):
    notification = make.notification(str(notification_id), **change)
    return Waiting(notification, attempts, notification.created_at + timedelta(minutes=2), "451 try later")


async def test_a_replay_names_what_it_tells_again_from_its_first_attempt_on(reader, cache, make):
    one, again = fresh(), str(fresh())
    await cache.put_waiting([waiting(make, one, replay_of=again)])
    assert (await reader.status(one)).replay_of == again
    await cache.put_outcomes([written(make.outcome(notification_id=str(one), replay_of=again))])
    assert (await reader.status(one)).replay_of == again


async def test_nobody_has_heard_of_it(reader):
    assert await reader.status(fresh()) is None


async def test_from_birth_to_end(reader, cache, outcomes, make):
    one = fresh()
    await outcomes.store_events([make.event(1, [str(one)])])
    born = await reader.status(one)
    assert (born.status, born.final, born.template, born.attempts) == (Status.CREATED, False, None, 0)

    await cache.put_waiting([waiting(make, one)])
    sending = await reader.status(one)
    assert (sending.status, sending.attempts, sending.reason) == (Status.SENDING, 2, "451 try later")
    assert sending.next_attempt_at == sending.created_at + timedelta(minutes=2)

    outcome = make.outcome(notification_id=str(one), status=Status.DELIVERED)
    await outcomes.store_outcomes([outcome])
    await cache.put_outcomes([written(outcome)])
    ended = await reader.status(one)
    assert (ended.status, ended.final) == (Status.DELIVERED, True)
    assert ended == NotificationStatus.ended(outcome)


async def test_a_late_waiting_state_hides_no_final_one(reader, cache, outcomes, make):
    one = fresh()
    await cache.put_outcomes([written(make.outcome(notification_id=str(one), status=Status.EXPIRED))])
    await cache.put_waiting([waiting(make, one)])
    assert (await reader.status(one)).status is Status.EXPIRED


async def test_the_first_outcome_wins_in_the_cache_too(cache, make):
    one = str(fresh())
    await cache.put_outcomes([written(make.outcome(notification_id=one, status=Status.DELIVERED))])
    await cache.put_outcomes([written(make.outcome(notification_id=one, status=Status.EXPIRED))])
    assert (await cache.get([one]))[one].status is Status.DELIVERED


async def test_an_outcome_that_never_reached_redis_is_believed_before_its_waiting_state(reader, cache, outcomes, make):
    one = fresh()
    await cache.put_waiting([waiting(make, one)])
    await outcomes.store_outcomes([make.outcome(notification_id=str(one), status=Status.SUPPRESSED)])
    assert (await reader.status(one)).status is Status.SUPPRESSED


async def test_many_at_once_come_back(cache, make):
    ids = [str(fresh()) for _ in range(1_234)]
    await cache.put_outcomes([written(make.outcome(notification_id=one)) for one in ids])
    assert set(await cache.get(ids)) == set(ids)


async def test_what_is_written_expires(redis_url, redis, make):
    cache = StatusCache(redis_url, timeout_s=2, ttl_s=90)
    await cache.start()
    one = str(fresh())
    await cache.put_outcomes([written(make.outcome(notification_id=one))])
    assert 0 < await redis.pttl(OUTCOME + one) <= 90_000
    await cache.stop()


@pytest.mark.parametrize("value", [b"\xff", b"{}", b'{"id":1}', b'{"id":"x","status":"vanished"}'])
async def test_a_value_of_another_version_counts_as_absent(cache, redis, value):
    one = str(fresh())
    await redis.set(OUTCOME + one, value, px=60_000)
    assert await cache.get([one]) == {}


async def test_a_flushed_redis_costs_nothing_but_speed(reader, cache, outcomes, redis, make):
    ended, on_its_way = fresh(), fresh()
    outcome = make.outcome(notification_id=str(ended))
    await outcomes.store_events([make.event(1, [str(ended), str(on_its_way)])])
    await outcomes.store_outcomes([outcome])
    await cache.put_outcomes([written(outcome)])
    before = await reader.status(ended)
    for prefix in ("herald:w:", OUTCOME):
        await redis.delete(prefix + str(ended), prefix + str(on_its_way))
    assert await reader.status(ended) == before
    assert (await reader.status(on_its_way)).status is Status.CREATED


async def test_a_dead_redis_costs_time_once(statuses, outcomes, redis_url, gated, make):
    gate, url = await gated(redis_url)
    cache = StatusCache(url, timeout_s=0.6, ttl_s=60)
    await cache.start()
    now = 100.0
    reader = StatusReader(cache, statuses, cache_rest_s=10, clock=lambda: now)
    one = fresh()
    await outcomes.store_outcomes([make.outcome(notification_id=str(one))])
    await cache.put_outcomes([written(make.outcome(notification_id=str(one)))])

    gate.fall_silent()
    started = time.monotonic()
    assert (await reader.status(one)).final
    first = time.monotonic() - started
    assert 0.6 <= first < 3

    started = time.monotonic()
    for _ in range(5):
        assert (await reader.status(one)).final
    assert time.monotonic() - started < 0.6 * 5, "a dead Redis is asked again before its rest is over"

    await gate.shut()
    await gate.open()
    now += 11
    assert (await reader.status(one)).final
    await cache.stop()


async def test_a_redis_that_came_back_is_used_again(redis_url, gated, make):
    gate, url = await gated(redis_url)
    cache = StatusCache(url, timeout_s=1, ttl_s=60)
    await cache.start()
    one = str(fresh())
    await cache.put_outcomes([written(make.outcome(notification_id=one))])
    await gate.shut()
    with pytest.raises(CacheUnavailable):
        await cache.get([one])
    with pytest.raises(CacheUnavailable):
        await cache.put_waiting([waiting(make, one)])
    await gate.open()
    assert one in await cache.get([one])
    await cache.stop()


async def test_without_postgres_redis_answers_what_it_can(cache, make, unused_tcp_port):
    postgres = PostgresStatuses(
        f"postgresql://postgres@127.0.0.1:{unused_tcp_port}/postgres", timeout_s=0.5, pool_size=1
    )
    await postgres.start()
    reader = StatusReader(cache, postgres)
    ended, sending = fresh(), fresh()
    await cache.put_outcomes([written(make.outcome(notification_id=str(ended)))])
    await cache.put_waiting([waiting(make, sending)])
    assert (await reader.status(ended)).status is Status.SENT
    assert (await reader.status(sending)).status is Status.SENDING
    with pytest.raises(StorageUnavailable):
        await reader.status(fresh())
    with pytest.raises(StorageUnavailable):
        await reader.of_shipment("shipment-1", after=None, limit=10)
    await postgres.stop()


async def pages(reader, shipment_id, limit, between=None):
    """Every page to the last, with something done between two pages."""
    after = None
    for _ in range(100):
        page = await reader.of_shipment(shipment_id, after=after, limit=limit)
        yield page.items
        if page.next is None:
            return
        after = page.next
        if between is not None:
            await between()
    raise AssertionError("the pages do not end")


async def test_a_shipment_is_listed_oldest_first_with_what_is_on_its_way(reader, cache, outcomes, make):
    first, second, third, replayed = (str(fresh()) for _ in range(4))
    await outcomes.store_events([make.event(1, [first]), make.event(2, [second]), make.event(3, [third])])
    await outcomes.store_events([make.event(9, [str(fresh())], shipment_id="shipment-2")])
    made = make.event(0, []).recorded_at
    await outcomes.store_outcomes(
        [
            make.outcome(notification_id=second),
            make.outcome(notification_id=replayed, replay_of=second, created_at=made + timedelta(hours=1)),
        ]
    )
    await cache.put_waiting([waiting(make, third)])
    page = await reader.of_shipment("shipment-1", after=None, limit=10)
    assert [(item.id, item.status) for item in page.items] == [
        (first, Status.CREATED),
        (second, Status.SENT),
        (third, Status.SENDING),
        (replayed, Status.SENT),
    ]
    assert [item.replay_of for item in page.items] == [None, None, None, second]
    assert page.next is None


@pytest.mark.parametrize("limit", [1, 7, 30, 31])
async def test_pages_are_complete_and_free_of_repeats(reader, outcomes, make, limit):
    ids = [str(fresh()) for _ in range(30)]
    # Three of one event share its time: the id decides.
    await outcomes.store_events([make.event(index, ids[index * 3 : index * 3 + 3]) for index in range(10)])
    listed = [item.id async for items in pages(reader, "shipment-1", limit) for item in items]
    assert len(listed) == 30
    assert set(listed) == set(ids)


async def test_pages_stay_stable_while_rows_come_and_end(reader, outcomes, make):
    ids = [str(fresh()) for _ in range(40)]
    await outcomes.store_events([make.event(index, [one]) for index, one in enumerate(ids)])
    to_end, later = list(ids), iter(range(1_000, 2_000))

    async def life_goes_on():
        ending, to_end[:] = to_end[-9:], to_end[:-9]
        # What ends says that it was made a little later than its event was recorded: its place must not move.
        moved = make.event(0, []).recorded_at + timedelta(seconds=5)
        await outcomes.store_outcomes([make.outcome(notification_id=one, created_at=moved) for one in ending])
        await outcomes.store_events([make.event(next(later), [str(fresh())])])

    listed = [item.id async for items in pages(reader, "shipment-1", 7, life_goes_on) for item in items]
    assert len(listed) == len(set(listed))
    assert listed[:40] == ids


async def test_an_event_told_twice_is_listed_once(reader, outcomes, make):
    one = str(fresh())
    await outcomes.store_events([make.event(1, [one]), make.event(2, [one])])
    page = await reader.of_shipment("shipment-1", after=None, limit=10)
    assert [item.id for item in page.items] == [one]


async def test_a_plan_lasts_as_long_as_its_connection(statuses):
    """The pool takes back what a session has set when the connection comes back to it."""
    for _ in range(3):
        async with statuses._database.connection() as connection:
            assert await connection.fetchval("SHOW plan_cache_mode") == "force_generic_plan"
