"""Does a server that the user named answer?"""

import threading
import time
from urllib.parse import urlsplit

from stack.endpoints import StackError
from stack.servers import NotReady, Server

_TIMEOUT_S = 10.0
_ONE_CHECK_S = 3.0
_POLL_S = 0.5


def public(address: str) -> str:
    """The address without the user, the password and the options that it may carry."""
    return urlsplit(address).netloc.rpartition("@")[2] if "://" in address else address


def check(server: Server, address: str, cancelled: threading.Event) -> None:
    """Ask until it answers; StackError with the last reason after ten seconds, or when ``cancelled``."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            server.check(address, _ONE_CHECK_S)
        except NotReady as error:
            if cancelled.wait(_POLL_S) or time.monotonic() > deadline:
                raise StackError(
                    f"{server.name.variable} names {public(address)}, which does not answer: {error}"
                ) from error
        else:
            return
