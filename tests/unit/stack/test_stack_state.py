import os
from pathlib import Path

import psutil
import pytest

from stack.endpoints import ServerName, StackError
from stack.processes import ProcessId
from stack.state import ServerState, StateFile

RUNNING = ServerState(ports=(21_000, 21_001), process=ProcessId(pid=4242, started=1_700_000_000.25))
STOPPED = ServerState(ports=(21_002,), process=None)


def test_there_is_nothing_before_the_first_write(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").read() == {}


def test_what_was_written_is_read_by_another_command(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    StateFile(path).write(ServerName.KAFKA, RUNNING)
    StateFile(path).write(ServerName.REDIS, STOPPED)

    assert StateFile(path).read() == {ServerName.KAFKA: RUNNING, ServerName.REDIS: STOPPED}


def test_a_write_replaces_one_server_and_leaves_the_others(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    state.write(ServerName.KAFKA, RUNNING)
    state.write(ServerName.REDIS, STOPPED)
    state.write(ServerName.KAFKA, STOPPED)

    assert state.read() == {ServerName.KAFKA: STOPPED, ServerName.REDIS: STOPPED}


def test_a_write_that_was_broken_off_leaves_the_old_state(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    state.write(ServerName.KAFKA, RUNNING)
    (tmp_path / "state.new").write_text('{"kafka": {"ports"')

    assert state.read() == {ServerName.KAFKA: RUNNING}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"kafka": {}}',
        '{"mysql": {"ports": [1], "process": null}}',
        '{"kafka": {"ports": ["1"], "process": null}}',
        '{"kafka": {"ports": [1], "process": {"pid": "1"}}}',
    ],
    ids=["empty", "no object", "nothing known", "unknown server", "port is text", "pid is text"],
)
def test_a_file_that_is_not_ours_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)

    with pytest.raises(StackError, match=r"state\.json is not a stack's state file"):
        StateFile(path).read()


def test_a_process_is_found_by_pid_and_start() -> None:
    me = ProcessId(pid=os.getpid(), started=psutil.Process().create_time())

    assert me.find() == psutil.Process()


def test_a_pid_that_went_to_another_process_is_not_found() -> None:
    earlier = ProcessId(pid=os.getpid(), started=psutil.Process().create_time() - 60)

    assert earlier.find() is None
