"""How are simulators started, steered and asked? For the demo and the tests; every call blocks, but not for long."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from simulators.child import DIRECT, Child
from simulators.faults import NO_FAULTS, Faults
from simulators.key_file import write_key_file
from simulators.ledger import Entry, Summary, read_ledger
from simulators.listener import HOST
from stack.ports import free_ports

__all__ = ["DIRECT", "Kind", "Simulator"]


class Kind(StrEnum):
    SMS = "sms"
    SMTP = "smtp"
    FCM = "fcm"


class Simulator:
    """One process on two free ports; its files go into ``folder``. It ends with us, however we end."""

    def __init__(self, kind: Kind, folder: Path, *arguments: str, seed: int = 0) -> None:
        """``arguments`` are the kind's own, as on its command line."""
        self.kind = kind
        self.port, self.control_port = free_ports(2)
        # Where clients find it: a test that puts something in between says so before the start.
        self.client_port = self.port
        self.ledger_path = folder / f"{kind}.ndjson"
        self.credentials_path = folder / f"{kind}-credentials.json"
        self._arguments = [*arguments, "--seed", str(seed)]
        self._child = Child(
            f"simulators.{kind}", folder / f"{kind}.log", control_port=self.control_port, ready_path="/_faults"
        )

    def start(self) -> Self:
        """Returns when the simulator answers. Raises RuntimeError with its log's end if it does not come up."""
        own = []
        if self.kind is Kind.FCM:
            write_key_file(self.credentials_path, token_uri=f"{self.url}/token")
            own = ["--credentials", str(self.credentials_path)]
        self._child.start("--port", str(self.port), "--ledger", str(self.ledger_path), *own, *self._arguments)
        return self

    def stop(self) -> None:
        self._child.stop()

    def set_faults(self, faults: Faults = NO_FAULTS) -> None:
        """In place of those before; without an argument, nothing goes wrong any more."""
        self._child.call("PUT", "/_faults", msgspec.json.encode(faults))

    def summary(self) -> Summary:
        return msgspec.json.decode(self._child.call("GET", "/_ledger"), type=Summary)

    def ledger(self) -> Iterator[Entry]:
        """Every entry up to now, in order; also of runs before, and after `stop`."""
        if self._child.is_running:
            self.summary()
        return read_ledger(self.ledger_path)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.client_port}"

    def environment(self) -> dict[str, str]:
        """What the workers' settings need to find it."""
        match self.kind:
            case Kind.SMS:
                return {"HERALD_SMS_URL": f"{self.url}/v1/messages", "HERALD_SMS_TOKEN": "simulated"}
            case Kind.SMTP:
                return {"HERALD_SMTP_HOST": HOST, "HERALD_SMTP_PORT": str(self.client_port), "HERALD_SMTP_TLS": "none"}
            case Kind.FCM:
                return {"HERALD_FCM_URL": self.url, "HERALD_FCM_CREDENTIALS": str(self.credentials_path)}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
