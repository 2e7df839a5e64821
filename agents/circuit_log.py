"""Who hears of it when a provider's circuit changes: the log, and the metrics."""

from collections.abc import Sequence
from typing import Any

import structlog

from observability.metrics import Metrics
from observability.redaction import redact_text
from pipeline.circuit import CircuitState
from pipeline.dispatch import Dispatch
from pipeline.errors import DeliveryError
from pipeline.notifications import Channel
from pipeline.ports import SendResult

log = structlog.get_logger(__name__)


class CircuitLog:
    """Of one provider; ``look`` is called whenever the circuit may have changed, and tells of each change once."""

    def __init__(self, dispatch: Dispatch[Any], channel: Channel, provider: str, metrics: Metrics) -> None:
        self._dispatch = dispatch
        self._channel = channel
        self._provider = provider
        self._metrics = metrics
        self._known = dispatch.circuit
        metrics.circuit(channel, provider, self._known)

    def look(self, results: Sequence[SendResult] = ()) -> None:
        """``results`` are those of the call that may have changed it."""
        before, now = self._known, self._dispatch.circuit
        if now is before:
            return
        self._known = now
        self._metrics.circuit(self._channel, self._provider, now)
        names = {"channel": self._channel, "provider": self._provider}
        if before is CircuitState.CLOSED:
            self._metrics.circuit_opened(self._channel, self._provider)
            log.warning("circuit opened", **names, reason=_reason(results))
        elif now is CircuitState.CLOSED:
            log.warning("circuit closed", **names)


def _reason(results: Sequence[SendResult]) -> str:
    """A 401 is to be seen here: our credentials are wrong, and no waiting mends that."""
    for one in results:
        if isinstance(one, DeliveryError):
            return redact_text(f"{one.code}: {one.problem}" if one.code else one.problem)
    return ""
