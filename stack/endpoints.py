"""Which servers are there, and how does a client reach them?"""

from dataclasses import dataclass
from enum import StrEnum


class StackError(Exception):
    """A server could not be had; the message says which one, why, and what to look at."""


class ServerName(StrEnum):
    """The names under which :class:`settings.Settings` knows the servers."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    REDIS = "redis"

    @property
    def variable(self) -> str:
        return f"HERALD_{self.name}"


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """``kafka``: host:port; ``postgres``: a DSN for asyncpg; ``redis``: a URL."""

    kafka: str
    postgres: str
    redis: str

    def environment(self) -> dict[str, str]:
        """What a Cargo Herald process needs in its environment to use these servers."""
        return {name.variable: getattr(self, name) for name in ServerName}
