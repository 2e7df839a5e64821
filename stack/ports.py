"""Which TCP ports are free?"""

import errno
import secrets
import socket
import threading

HOST = "127.0.0.1"

# Below the range from which Linux and macOS take the ports of outgoing connections (32768 and 49152 on). A port in that
# range can be lost while its server is restarted: a client that keeps dialling may be given the very port as its own.
CHOICE = range(20_000, 32_000)
_TRIES = 200

# A port is often chosen long before somebody listens there: until then nothing else shows that it is spoken for.
_spoken_for: set[int] = set()
_lock = threading.Lock()


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback's ``port`` now; one that waits out old connections counts."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_ports(count: int, *, taken: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """``count`` distinct free ports, none of them in ``taken`` or given out by this process before.

    RuntimeError when there are none left to find. Safe between threads.
    """
    found: dict[int, None] = {}
    for _ in range(_TRIES):
        if len(found) == count:
            break
        port = secrets.choice(CHOICE)
        with _lock:
            if port not in taken and port not in _spoken_for and is_free(port):
                found[port] = None
                _spoken_for.add(port)
    else:
        raise RuntimeError(f"no {count} free ports between {CHOICE.start} and {CHOICE.stop}")
    return tuple(found)
