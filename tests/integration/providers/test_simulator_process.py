"""A simulator lives and dies with whoever started it, and its ledger is complete when it is gone."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from simulators.child import DIRECT, ROOT
from simulators.faults import CallFault, Faults
from simulators.launch import Kind, Simulator
from simulators.ledger import Result

OWNER = """
import sys, time
from pathlib import Path
from simulators.launch import Kind, Simulator
simulator = Simulator(Kind.SMS, Path(sys.argv[1])).start()
print(simulator.port, flush=True)
time.sleep(60)
"""


def post(simulator: Simulator, body: bytes) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{simulator.port}/v1/messages", data=body, headers={"Authorization": "Bearer x"}
    )
    with DIRECT.open(request, timeout=5) as answer:
        return int(answer.status)


def test_ledger_outlives_the_process(tmp_path: Path) -> None:
    with Simulator(Kind.SMS, tmp_path) as simulator:
        assert post(simulator, b'{"messages":[{"id":"1","to":"+7","text":"x"}]}') == 200
    assert [(entry.id, entry.result) for entry in simulator.ledger()] == [("1", Result.ACCEPTED)]


def test_dies_with_its_owner_even_by_sigkill(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline()
    (simulator,) = psutil.Process(owner.pid).children()
    owner.kill()
    owner.wait(5)
    owner.stdout.close()
    deadline = time.monotonic() + 5
    while simulator.is_running() and simulator.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    with Simulator(Kind.SMS, tmp_path) as first:
        second = Simulator(Kind.SMS, tmp_path)
        second.port = first.port
        with pytest.raises(RuntimeError, match="in use"):
            second.start()


def test_a_wrong_fault_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with Simulator(Kind.SMS, tmp_path) as simulator:
        simulator.set_faults(Faults(call=CallFault.ERROR))
        request = urllib.request.Request(
            f"http://127.0.0.1:{simulator.control_port}/_faults", data=b'{"call":"melt"}', method="PUT"
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            DIRECT.open(request, timeout=5)
        with refused.value:
            assert refused.value.code == 422
        with pytest.raises(urllib.error.HTTPError) as failed:
            post(simulator, b'{"messages":[]}')
        with failed.value:
            assert failed.value.code == 503
