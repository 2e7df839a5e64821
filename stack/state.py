"""What does a stack remember between commands? Per server its ports and its process, in one JSON file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.endpoints import ServerName, StackError
from stack.processes import ProcessId


@dataclass(frozen=True, kw_only=True)
class ServerState:
    ports: tuple[int, ...]
    process: ProcessId | None


class StateFile:
    """Replaced as a whole at each write: a crash leaves the old one or the new one. Not safe between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[ServerName, ServerState]:
        """Empty when there is no file; StackError when it is not one of ours."""
        try:
            document = json.loads(self._path.read_bytes())
            return {ServerName(name): _decode(entry) for name, entry in document.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StackError(f"{self._path} is not a stack's state file ({error!r}); remove it") from error

    def write(self, name: ServerName, state: ServerState) -> None:
        """Store one server's state beside the others'."""
        document = {key: asdict(value) for key, value in {**self.read(), name: state}.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self._path)


def _decode(entry: dict[str, object]) -> ServerState:
    ports, process = entry["ports"], entry["process"]
    if not isinstance(ports, list) or not all(isinstance(port, int) for port in ports):
        raise ValueError("ports")
    return ServerState(ports=tuple(ports), process=_decode_process(process) if process is not None else None)


def _decode_process(entry: object) -> ProcessId:
    match entry:
        case {"pid": int(pid), "started": float(started)}:
            return ProcessId(pid=pid, started=started)
        case _:
            raise ValueError("process")
