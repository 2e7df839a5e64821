"""What did a worker warn of last? From the end of its log, which holds what it says and what its interpreter does."""

import json
from pathlib import Path

END_BYTES = 64 << 10
USUAL = frozenset({"debug", "info"})


def last_warning(log: Path, since: int = 0) -> str:
    """Of what was written behind ``since``; empty where it has not warned of anything. Raises OSError."""
    with log.open("rb") as file:
        begins = file.seek(max(since, log.stat().st_size - END_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    whole = lines if begins == since else lines[1:]
    return next((word for line in reversed(whole) if (word := _warning(line))), "")


def _warning(line: str) -> str:
    """A line that is no JSON was not meant for the log: it counts."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.strip()
    if not isinstance(entry, dict) or entry.get("log.level") in USUAL:
        return ""
    error = entry.get("error")
    reason = entry.get("reason") or (error.get("message") if isinstance(error, dict) else error)
    return ": ".join(str(part) for part in (entry.get("message"), reason) if part)
