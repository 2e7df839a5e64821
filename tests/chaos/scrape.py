"""What does a worker say in its metrics?"""

import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from simulators.child import DIRECT

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Scrape:
    samples: Sequence[Sample]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name with these labels among theirs; 0 where there is none."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )


def scrape(port: int) -> Scrape:
    """Raises OSError where nobody answers in time."""
    with DIRECT.open(urllib.request.Request(f"http://127.0.0.1:{port}/metrics"), timeout=TIMEOUT_S) as answer:
        text = answer.read().decode()
    return Scrape([sample for family in text_string_to_metric_families(text) for sample in family.samples])
