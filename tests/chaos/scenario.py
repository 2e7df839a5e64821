"""What is a scenario? A name, a feed, and what is done to the pipeline while it runs."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.account import Account
from tests.chaos.arena import Arena
from tests.chaos.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything: ``full`` for `make chaos`, ``short`` for the part of it that is in `make test`."""

    name: str
    random_kills: int
    outage_s: float
    provider_outage_s: float
    backlog_s: float
    network_s: float
    provider_fault_s: float

    def choose(self, scenarios: "Sequence[Scenario]") -> "list[Scenario]":
        return [one for one in scenarios if one.short or self.name == "full"]


FULL = Scale(
    name="full",
    random_kills=70,
    outage_s=300.0,
    provider_outage_s=600.0,
    backlog_s=20.0,
    network_s=6.0,
    provider_fault_s=12.0,
)
SHORT = Scale(
    name="short",
    random_kills=6,
    outage_s=10.0,
    provider_outage_s=15.0,
    backlog_s=6.0,
    network_s=3.0,
    provider_fault_s=5.0,
)
SCALES = {scale.name: scale for scale in (FULL, SHORT)}


@dataclass(kw_only=True)
class Play:
    """One scenario as it is played.

    ``notes`` are figures of its own, ``broken`` says which promises were, ``not_injected`` why a fault cannot be made
    here.
    """

    arena: Arena
    dice: random.Random
    scale: Scale
    notes: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    not_injected: str = ""

    def expect(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.broken.append(otherwise)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``act`` hurts the pipeline while it is fed; ``judge`` looks at the account on top of the checker.

    ``short`` says that it is part of `make test`.
    """

    name: str
    act: Callable[[Play], None]
    judge: Callable[[Play, Account, Verdict], None] | None = None
    rate: float = 30.0
    poison: float = 0.02
    settle_s: float = 120.0
    brokers: int = 1
    short: bool = False
