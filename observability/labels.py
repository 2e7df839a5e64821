"""How are the series of a metric found quickly, and kept free of what must not be in them?"""

import re
from typing import Generic, TypeVar

from prometheus_client.metrics import MetricWrapperBase

Metric = TypeVar("Metric", bound=MetricWrapperBase)
Labels = str | tuple[str, ...]

OTHER = "other"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")
_ID = re.compile(r"[0-9a-fA-F]{8}-|[0-9]{6}")


class Labelled(dict[Labels, Metric], Generic[Metric]):
    """The series of one metric by their label values: ``metric["sms"]``, ``metric["sms", "urgent"]``, ``metric[()]``.

    Each is resolved once: `prometheus_client` takes a lock and builds strings on every look-up. A value that is no
    name, or looks like an id, becomes ``other``: it would leak a person, or grow a series each.
    """

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: Labels) -> Metric:
        values = (labels,) if isinstance(labels, str) else labels
        safe = tuple(map(_safe, values))
        if safe != values:
            return self[safe]
        series = self[labels] = self._metric.labels(*safe) if safe else self._metric
        return series

    def forget(self, labels: tuple[str, ...]) -> None:
        """Stop exporting a series; it starts anew when next used."""
        if self.pop(labels, None) is not None:
            self._metric.remove(*map(_safe, labels))


def _safe(value: str) -> str:
    return value if _NAME.fullmatch(value) and not _ID.search(value) else OTHER
