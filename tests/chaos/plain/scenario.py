"""What can be done to the plain application? A name, how it is set up, and what befalls it while it is fed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.plain.scene import Scene


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``befall`` returns when the fault is over; ``poison`` is the share of documents that are broken."""

    name: str
    befall: Callable[["Scene"], None]
    workers: int = 1
    poison: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)
