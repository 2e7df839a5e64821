import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.bench.kafka import log_bytes
from tests.bench.processes import children, cpu_seconds, peak_bytes, resident_bytes

BURN = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"


def test_cpu_of_children_counts_also_when_they_have_ended() -> None:
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert cpu_seconds(os.getpid()) - before > 0.19


def test_a_process_that_is_gone_has_no_cpu() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(psutil.NoSuchProcess):
        cpu_seconds(child.pid)


def test_the_peak_is_at_least_what_is_there_now() -> None:
    assert peak_bytes(os.getpid()) >= 0.9 * resident_bytes(os.getpid()) > 1_000_000


def test_children_are_found_by_their_module() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()", "tests.unit.made_up"], stdin=subprocess.PIPE)
    try:
        assert children("tests.unit.") == {"made_up": child.pid}
    finally:
        child.communicate()


def test_logs_of_topics_that_are_deleted_or_kafkas_own_are_left_out(tmp_path: Path) -> None:
    for folder, size in {"a.v1-0": 10, "a.v1-1": 5, "__consumer_offsets-0": 100, "b-0.1f2e-delete": 1_000}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00000000000000000000.log").write_bytes(b"x" * size)
    (tmp_path / "a.v1-0" / "00000000000000000000.index").write_bytes(b"x" * 10_000)
    assert log_bytes(tmp_path) == 15
