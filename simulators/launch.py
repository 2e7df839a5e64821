"""How are simulators started, steered and asked? For the demo and the tests; every call blocks, but not for long."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from simulators.faults import NO_FAULTS, Faults
from simulators.key_file import write_key_file
from simulators.ledger import Entry, Summary, read_ledger
from simulators.listener import HOST

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 5.0
POLL_INTERVAL_S = 0.05

# The environment's proxies have no business on the loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Kind(StrEnum):
    SMS = "sms"
    SMTP = "smtp"
    FCM = "fcm"


class Simulator:
    """One process on two free ports; its files go into ``folder``. It ends with us, however we end."""

    def __init__(self, kind: Kind, folder: Path, *arguments: str, seed: int = 0) -> None:
        """``arguments`` are the kind's own, as on its command line."""
        self.kind = kind
        self.port, self.control_port = _free_ports(2)
        self.ledger_path = folder / f"{kind}.ndjson"
        self.log_path = folder / f"{kind}.log"
        self.credentials_path = folder / f"{kind}-credentials.json"
        self._arguments = [*arguments, "--seed", str(seed)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Returns when the simulator answers. Raises RuntimeError with its log's end if it does not come up."""
        own = []
        if self.kind is Kind.FCM:
            write_key_file(self.credentials_path, token_uri=f"{self.url}/token")
            own = ["--credentials", str(self.credentials_path)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own module, arguments from code
                [
                    *(sys.executable, "-m", f"simulators.{self.kind}", "--stop-on-eof"),
                    *("--port", str(self.port), "--control-port", str(self.control_port)),
                    *("--ledger", str(self.ledger_path), *own, *self._arguments),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for whoever started us: the workers still have messages to get rid of.
                start_new_session=True,
            )
        try:
            self._await_readiness(self._process)
        except RuntimeError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def set_faults(self, faults: Faults = NO_FAULTS) -> None:
        """In place of those before; without an argument, nothing goes wrong any more."""
        self._call("PUT", "/_faults", msgspec.json.encode(faults))

    def summary(self) -> Summary:
        return msgspec.json.decode(self._call("GET", "/_ledger"), type=Summary)

    def ledger(self) -> Iterator[Entry]:
        """Every entry up to now, in order; also of runs before, and after `stop`."""
        if self._process is not None:
            self.summary()
        return read_ledger(self.ledger_path)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """What the workers' settings need to find it."""
        match self.kind:
            case Kind.SMS:
                return {"HERALD_SMS_URL": f"{self.url}/v1/messages", "HERALD_SMS_TOKEN": "simulated"}
            case Kind.SMTP:
                return {"HERALD_SMTP_HOST": HOST, "HERALD_SMTP_PORT": str(self.port), "HERALD_SMTP_TLS": "none"}
            case Kind.FCM:
                return {"HERALD_FCM_URL": self.url, "HERALD_FCM_CREDENTIALS": str(self.credentials_path)}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _await_readiness(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                tail = self.log_path.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"the {self.kind} simulator ended with {process.returncode}:\n{tail}")
            try:
                self._call("GET", "/_faults")
            except urllib.error.URLError:
                time.sleep(POLL_INTERVAL_S)
            else:
                return
        raise RuntimeError(f"the {self.kind} simulator did not answer within {START_TIMEOUT_S:.0f} s")

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://{HOST}:{self.control_port}{path}", data=body, method=method)
        with DIRECT.open(request, timeout=CALL_TIMEOUT_S) as answer:
            content: bytes = answer.read()
        return content


def _free_ports(count: int) -> list[int]:
    """Free now, and most likely still free a moment later: the system hands them out in turn."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
