"""Each mode of the proxy on real sockets: what gets through is in order and whole, or the connection is over."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.link import BOUND_BYTES
from tests.chaos.modes import HALF_OPEN, PASS, REFUSE, RESET, Mode, ModeKind
from tests.chaos.proxy import Proxies

TIMEOUT_S = 10.0
SILENCE_S = 0.3
KERNEL_BYTES = 16 << 20
LINE = b"a line of sixteen"


class Echo:
    """Sends back what it receives; remembers that, and how each connection ended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.received = bytearray()
        self.accepted = 0
        self.ends: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.accepted += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    self.received += data
                    connection.sendall(data)
            except ConnectionResetError:
                self.ends.append("reset")
            else:
                self.ends.append("end")

    def close(self) -> None:
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxies(echo: Echo, tmp_path: Path) -> Iterator[Proxies]:
    with Proxies(tmp_path, {"echo": echo.address, "other": echo.address}) as proxies:
        yield proxies


@pytest.fixture
def dial(proxies: Proxies) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def dial() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", proxies.ports["echo"]), timeout=TIMEOUT_S))
        return opened[-1]

    yield dial
    for one in opened:
        one.close()


Dial = Callable[[], socket.socket]


def receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        assert more, f"over after {len(data)} of {count} bytes"
        data += more
    return data


def ask(connection: socket.socket, data: bytes = LINE) -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def hears_nothing(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    else:
        return False
    finally:
        connection.settimeout(TIMEOUT_S)


def is_reset(connection: socket.socket) -> bool:
    try:
        connection.recv(1)
    except ConnectionResetError:
        return True
    else:
        return False


def is_reset_at_once(dial: Dial) -> bool:
    """Perhaps before the client knows that it was connected."""
    try:
        return is_reset(dial())
    except ConnectionResetError:
        return True


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_pass_in_order_both_ways(dial: Dial) -> None:
    sent = os.urandom(8 << 20)
    connection = dial()
    sending = threading.Thread(target=connection.sendall, args=[sent])
    sending.start()
    assert receive(connection, len(sent)) == sent
    sending.join(TIMEOUT_S)


def test_the_end_of_one_direction_passes_and_the_other_goes_on(dial: Dial, echo: Echo, proxies: Proxies) -> None:
    connection = dial()
    connection.sendall(LINE)
    connection.shutdown(socket.SHUT_WR)
    assert receive(connection, len(LINE)) == LINE
    assert connection.recv(1) == b""
    eventually(lambda: proxies.states()["echo"].connections == 0)
    assert echo.ends == ["end"]


def test_a_reset_by_the_client_reaches_the_target(dial: Dial, echo: Echo) -> None:
    connection = dial()
    ask(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()
    eventually(lambda: echo.ends == ["reset"])


def test_a_target_that_is_away_is_a_reset(dial: Dial, echo: Echo) -> None:
    echo.close()
    assert is_reset_at_once(dial)


def test_slow_delays_each_way(dial: Dial, proxies: Proxies) -> None:
    connection = dial()
    ask(connection)
    proxies.set("echo", Mode(kind=ModeKind.SLOW, latency_ms=150))
    began = time.monotonic()
    assert ask(connection) == LINE
    assert 0.3 <= time.monotonic() - began < 1.5


def test_slow_keeps_to_a_rate_and_to_the_order(dial: Dial, proxies: Proxies) -> None:
    proxies.set("echo", Mode(kind=ModeKind.SLOW, bytes_per_s=200_000))
    sent = os.urandom(100_000)
    began = time.monotonic()
    assert ask(dial(), sent) == sent
    assert 0.5 <= time.monotonic() - began < 3.0


def test_what_was_late_comes_first_when_slow_ends(dial: Dial, proxies: Proxies) -> None:
    proxies.set("echo", Mode(kind=ModeKind.SLOW, latency_ms=60_000))
    connection = dial()
    connection.sendall(b"first")
    assert hears_nothing(connection)
    proxies.set("echo", PASS)
    connection.sendall(b"second")
    assert receive(connection, 11) == b"firstsecond"


@pytest.mark.parametrize("mode", [Mode(kind=ModeKind.SLOW, latency_ms=60_000), PASS], ids=["slow", "target is full"])
def test_who_sends_must_wait(dial: Dial, proxies: Proxies, mode: Mode) -> None:
    """Nobody reads what comes back, or it is very late: what the proxy takes has a bound."""
    proxies.set("echo", mode)
    connection = dial()
    connection.settimeout(SILENCE_S)
    taken = 0
    with pytest.raises(TimeoutError):
        while taken < 4 * (KERNEL_BYTES + BOUND_BYTES):
            taken += connection.send(b"x" * 65_536)
    assert taken < 2 * (KERNEL_BYTES + BOUND_BYTES)
    connection.settimeout(TIMEOUT_S)
    proxies.set("echo", PASS)
    left = taken
    while left:
        left -= len(receive(connection, min(left, 1 << 16)))


def test_half_open_forwards_nothing_and_keeps_connections(dial: Dial, proxies: Proxies, echo: Echo) -> None:
    connection = dial()
    ask(connection)
    assert proxies.set("echo", HALF_OPEN) == 1
    connection.sendall(b"stale")
    late = dial()
    late.sendall(b"late")
    assert hears_nothing(connection)
    assert hears_nothing(late)
    assert bytes(echo.received) == LINE
    assert echo.accepted == 1


def test_after_half_open_no_stale_byte_comes_back(dial: Dial, proxies: Proxies, echo: Echo) -> None:
    """Who lost bytes is cut off; who lost none goes on where it was."""
    talkative, silent = dial(), dial()
    for one in (talkative, silent):
        ask(one)
    proxies.set("echo", HALF_OPEN)
    talkative.sendall(b"stale")
    late = dial()
    late.sendall(b"late")
    eventually(lambda: proxies.states()["echo"].connections == 3)
    assert hears_nothing(talkative)
    proxies.set("echo", PASS)
    assert is_reset(talkative)
    assert is_reset(late)
    assert ask(silent) == LINE
    assert ask(dial()) == LINE
    assert bytes(echo.received) == 4 * LINE
    eventually(lambda: echo.ends == ["reset"])


def test_what_was_late_is_lost_with_its_connection(dial: Dial, proxies: Proxies, echo: Echo) -> None:
    proxies.set("echo", Mode(kind=ModeKind.SLOW, latency_ms=60_000))
    connection = dial()
    connection.sendall(LINE)
    assert hears_nothing(connection)
    proxies.set("echo", HALF_OPEN)
    proxies.set("echo", PASS)
    assert is_reset(connection)
    assert not echo.received


def test_in_half_open_nobody_hears_that_the_other_has_left(dial: Dial, proxies: Proxies, echo: Echo) -> None:
    connection = dial()
    ask(connection)
    proxies.set("echo", HALF_OPEN)
    connection.close()
    assert proxies.states()["echo"].connections == 1
    assert echo.ends == []
    proxies.set("echo", PASS)
    eventually(lambda: echo.ends == ["reset"])


def test_reset_ends_every_connection_at_both_ends(dial: Dial, proxies: Proxies, echo: Echo) -> None:
    connections = [dial(), dial()]
    for one in connections:
        ask(one)
    assert proxies.set("echo", RESET) == 2
    assert all(map(is_reset, connections))
    eventually(lambda: echo.ends == ["reset", "reset"])
    assert ask(dial()) == LINE


def test_reset_of_new_connections_too(dial: Dial, proxies: Proxies) -> None:
    proxies.set("echo", Mode(kind=ModeKind.RESET, new_too=True))
    assert is_reset_at_once(dial)
    proxies.set("echo", PASS)
    assert ask(dial()) == LINE


def test_refuse_closes_the_port_and_opens_the_same_again(dial: Dial, proxies: Proxies) -> None:
    connection = dial()
    ask(connection)
    proxies.set("echo", REFUSE)
    assert is_reset(connection)
    with pytest.raises(ConnectionRefusedError):
        dial()
    proxies.set("echo", PASS)
    assert ask(dial()) == LINE


def test_routes_are_apart(dial: Dial, proxies: Proxies) -> None:
    proxies.set("other", REFUSE)
    assert ask(dial()) == LINE
    assert proxies.states()["other"].mode == REFUSE
    proxies.pass_all()
    assert {state.mode for state in proxies.states().values()} == {PASS}
