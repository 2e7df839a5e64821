"""How is a module of ours run as a process, and steered over HTTP? Every call blocks, but not for long."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from simulators.listener import HOST

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 5.0
POLL_INTERVAL_S = 0.05

# The environment's proxies have no business on the loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Child:
    """``module`` serves HTTP on ``control_port``, and ends with whoever holds its stdin: with us, however we end.

    It answers GET on ``ready_path`` as soon as it serves what it is for.
    """

    def __init__(self, module: str, log_path: Path, *, control_port: int, ready_path: str) -> None:
        self._module = module
        self._log_path = log_path
        self._control_port = control_port
        self._ready_path = ready_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, *arguments: str) -> None:
        """Returns when it answers. Raises RuntimeError with its log's end if it does not come up."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own module, arguments from code
                [
                    *(sys.executable, "-m", self._module, "--stop-on-eof"),
                    *("--control-port", str(self._control_port), *arguments),
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

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer's body. Raises URLError, also for a status that is no success."""
        request = urllib.request.Request(f"http://{HOST}:{self._control_port}{path}", data=body, method=method)
        with DIRECT.open(request, timeout=CALL_TIMEOUT_S) as answer:
            content: bytes = answer.read()
        return content

    def _await_readiness(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                tail = self._log_path.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"{self._module} ended with {process.returncode}:\n{tail}")
            try:
                self.call("GET", self._ready_path)
            except urllib.error.URLError:
                time.sleep(POLL_INTERVAL_S)
            else:
                return
        raise RuntimeError(f"{self._module} did not answer within {START_TIMEOUT_S:.0f} s")
