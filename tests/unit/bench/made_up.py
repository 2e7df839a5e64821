"""Runs that nobody has measured."""

from dataclasses import replace

from tests.bench.run import Run

RUN = Run(
    notifications=1_000,
    seconds=0.5,
    cpu_s={"enrich": 0.03, "send-sms": 0.04, "sink": 0.02, "retry": 0.0001},
    server_cpu_s={"kafka": 0.05, "postgres": 0.02, "redis": 0.01, "sms": 0.01},
    peak_bytes=dict.fromkeys(("enrich", "send-sms", "sink", "retry"), 100_000_000),
    log_bytes=2_000_000,
    lost=0,
    duplicates=0,
)


def by_hand() -> Run:
    """Half as fast, at the same CPU."""
    cpu_s = {"enrich": 0.03, "send": 0.04, "sink": 0.0201}
    return replace(RUN, seconds=1.0, cpu_s=cpu_s, peak_bytes=dict.fromkeys(cpu_s, 60_000_000))
