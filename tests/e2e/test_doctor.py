"""`herald doctor` on the running pipeline: it calls it healthy, and names what is taken away from it."""

import json
import time
from typing import Any

import pytest

import topics
from cli import workers_file
from cli.doctor_checks import groups_of_roles
from pipeline.notifications import Channel, Lane
from settings import Role
from stack import ServerName
from tests.e2e.cargo import followed_by
from tests.e2e.world import World, eventually

Diagnosis = dict[str, Any]


def examine(world: World) -> Diagnosis:
    urls = [part for worker in world.pipeline.supervisor.workers.values() for part in ("--worker", worker.url)]
    done = world.herald("doctor", "--json", *urls)
    assert done.returncode in (0, 1), done.stderr
    found: Diagnosis = json.loads(done.stdout)
    assert found["healthy"] is (done.returncode == 0)
    return found


def healthy(world: World, *, within_s: float = 60.0) -> Diagnosis:
    """What is found, once nothing is wrong."""
    deadline = time.monotonic() + within_s
    while (found := examine(world)) and wrong(found):
        assert time.monotonic() < deadline, wrong(found)
    return found


def wrong(found: Diagnosis) -> dict[str, str]:
    """What is wrong, by check."""
    return {one["check"]: one["what"] for one in found["findings"] if one["level"] == "wrong"}


@pytest.mark.timeout(240)
def test_a_pipeline_that_works_is_healthy(world: World) -> None:
    found = healthy(world)
    checked = {one["check"] for one in found["findings"]}
    assert checked >= {"Kafka", "topics", "groups", "lag", "retries", "dead letters", "schema", "account", "Redis"}
    assert checked >= {"SMS provider", "mail server", "FCM", "disk"}
    assert sum(one["what"] == "is ready" for one in found["findings"]) == len(Role)
    assert sum(one["check"] == "lag" for one in found["findings"]) == len(groups_of_roles()) - 1
    folder = world.pipeline.supervisor.workers[Role.SINK].log_path.parent
    written = {(one.name, one.url) for one in workers_file.read(folder)}
    assert written == {(one.name, one.url) for one in world.pipeline.supervisor.workers.values()}
    table = world.herald("doctor")
    assert table.returncode == 0
    assert "every role has workers" in table.stdout
    assert "none was asked" in table.stdout, "nothing runs from the folder of the sources"


@pytest.mark.timeout(240)
def test_postgres_gone_is_told(world: World) -> None:
    world.stack.kill(ServerName.POSTGRES)
    try:
        found = examine(world)
        assert wrong(found).keys() == {"Postgres"}
        assert wrong(found)["Postgres"].endswith("nothing is known of: partitions, account")
    finally:
        world.stack.restart(ServerName.POSTGRES)
    healthy(world)


@pytest.mark.timeout(240)
def test_a_worker_that_stands_still_is_told_with_what_waits_for_it(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    lane = topics.lane(Channel.SMS, Lane.URGENT)
    with world.frozen(Role.SEND_SMS):
        before = sum(world.mark(lane).values()) + sum(world.mark(topics.lane(Channel.SMS, Lane.BULK)).values())
        world.tell(event)
        lanes = [topics.lane(Channel.SMS, one) for one in Lane]
        eventually(lambda: sum(sum(world.mark(one).values()) for one in lanes) > before, "the notification in its lane")

        def told() -> Diagnosis | None:
            found = examine(world)
            # The group has no member once its session has run out.
            return found if "groups" in wrong(found) else None

        found = eventually(told, "a role without workers")
        assert wrong(found)["groups"] == "no worker of send-sms"
        behind = [one for one in found["findings"] if one["check"] == "lag" and "herald-send-sms" in one["what"]]
        assert "1 records" in behind[0]["figure"]
        (name,) = [key for key in wrong(found) if key.startswith("127.0.0.1:")]
        assert name in world.pipeline.supervisor.workers[Role.SEND_SMS].url
    world.outcomes_of(set(shipment.ids(event)))
    healthy(world)


def test_bad_settings_are_exit_code_2(world: World) -> None:
    done = world.herald("doctor", HERALD_PARTITIONS="many")
    assert done.returncode == 2
    assert "HERALD_PARTITIONS" in done.stderr
