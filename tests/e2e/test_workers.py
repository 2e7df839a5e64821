"""How does a worker start and end? With words where something is missing; in time, and with its work done."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from pipeline.vocabulary import StatusCode
from settings import Role
from simulators.faults import Faults
from simulators.ledger import Result
from tests.e2e.cargo import Shipment, person
from tests.e2e.world import World, herald

NOBODY = "127.0.0.1:1"
START_TIMEOUT_S = 3
ENDS_WITHIN_S = 30.0


@pytest.mark.parametrize("role", [Role.ENRICH, Role.RETRY])
def test_without_kafka_a_worker_says_so_and_ends(role: Role, tmp_path: Path) -> None:
    began = time.monotonic()
    ended = herald(
        "worker",
        *("--role", role),
        HERALD_KAFKA=NOBODY,
        HERALD_START_TIMEOUT_S=str(START_TIMEOUT_S),
        HERALD_DATA_DIR=str(tmp_path),
        HERALD_HTTP_PORT="0",
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None), output
    assert f"Kafka does not answer at {NOBODY}" in output
    assert "Traceback" not in output
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HERALD_PARTITIONS", "none"),
        ("HERALD_RETRY_TIERS_S", "30,10"),
        ("HERALD_UNCONFIRMED", "sms"),
        ("HERALD_PROVIDER_TIMEOUT_S", "60"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, tmp_path: Path) -> None:
    environment = {"HERALD_DATA_DIR": str(tmp_path), variable: value}
    ended = herald("worker", "--role", "enrich", **environment)
    output = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None), output
    assert variable in output
    assert "Traceback" not in output


def test_push_without_its_key_file_says_so(tmp_path: Path) -> None:
    ended = herald("worker", "--role", "send-push", HERALD_DATA_DIR=str(tmp_path))
    output = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None), output
    assert "HERALD_FCM_CREDENTIALS" in output
    assert "Traceback" not in output


@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", Role)
def test_a_worker_that_is_asked_to_end_does_so_with_its_work_done(
    world: World, role: Role, figure: Callable[[str], None]
) -> None:
    """Under load; the one that follows it takes over, and nobody is told twice."""
    for channel in Channel:
        world.simulator(channel).set_faults(Faults(latency_ms=30))
    shipments = [Shipment(people=(person(), person())) for _ in range(20)]
    world.subscribe(*shipments)
    worker = world.pipeline.supervisor.workers[role]
    process = worker.process
    assert process is not None
    ids: set[str] = set()
    ended_after_s = 0.0
    for turn, step in enumerate((StatusCode.GTIN, StatusCode.LOAD, StatusCode.DISC, StatusCode.GTOT)):
        events = [(shipment, shipment.event(step)) for shipment in shipments]
        world.tell(*(event for _, event in events))
        ids |= {id for shipment, event in events for id in shipment.ids(event)}
        if turn == 1:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(ENDS_WITHIN_S) == 0
            ended_after_s = time.monotonic() - began
    rows = world.outcomes_of(ids)
    assert {row["status"] for row in rows.values()} == {Status.SENT}
    figure(f"SIGTERM {role}: ended after {ended_after_s:.1f} s")
    for channel in Channel:
        heard = [entry.result for entry in world.heard(channel, ids)]
        assert heard == [Result.ACCEPTED] * (len(ids) // len(Channel))
