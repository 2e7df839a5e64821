"""A histogram that takes a batch at a time: `prometheus_client`'s own takes a lock and a walk for every value."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

INFINITY = float("inf")


class BatchHistogram(Collector):
    """``buckets`` are upper bounds, ascending, without infinity; labels are exported as they are given."""

    def __init__(
        self, name: str, meaning: str, buckets: Sequence[float], labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds = [*buckets, INFINITY]
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, labels: tuple[str, ...], values: Iterable[float]) -> None:
        counts = self._counts.setdefault(labels, [0] * len(self._bounds))
        total = self._sums.get(labels, 0.0)
        for value in values:
            counts[bisect_left(self._bounds, value)] += 1
            total += value
        self._sums[labels] = total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        names = list(map(floatToGoString, self._bounds))
        for labels, counts in self._counts.items():
            family.add_metric(labels, list(zip(names, accumulate(counts), strict=True)), self._sums[labels])
        yield family
