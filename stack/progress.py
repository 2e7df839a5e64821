"""How does a long start tell what it is at?"""

from collections.abc import Callable
from dataclasses import dataclass

from stack.endpoints import ServerName


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one server is at; ``seconds`` since its start began; ``done`` when nothing more comes from it.

    A step is told again when its ``detail`` changes.
    """

    server: ServerName
    step: str
    detail: str = ""
    seconds: float
    done: bool = False

    def __str__(self) -> str:
        return f"{self.server:<8} {self.text} ({self.seconds:.1f} s)"

    @property
    def text(self) -> str:
        return f"{self.step}, {self.detail}" if self.detail else self.step


OnProgress = Callable[[Progress], None]
"""Called from several threads, one call at a time."""


def silent(_: Progress) -> None:
    """For those who do not watch."""
