"""Who follows a shipment? Made-up people, at addresses that belong to nobody."""

import random
from typing import Any

Json = dict[str, Any]

LOCALES = ("en", "ru", "ru-RU", "pt-BR")
ZONES = ("Europe/Moscow", "Asia/Vladivostok", "Europe/Amsterdam", "America/Sao_Paulo", "UTC")
CHANNELS = ("sms", "email", "push")
FILTERS = (None, None, None, ("DEPA", "ARRI"), ("CUSI", "CUSR", "GTOT"), ("DRFT", "CONF", "ISSU"))


def recipients(rng: random.Random, booking: str) -> list[Json]:
    """One to four people with different channels, languages, zones and wishes."""
    return [_recipient(rng, f"{booking}-p{number}") for number in range(1, rng.randint(1, 4) + 1)]


def _recipient(rng: random.Random, recipient_id: str) -> Json:
    addresses = {
        "sms": f"+7999{rng.randrange(10_000_000):07d}",
        "email": f"{recipient_id.lower()}@example.org",
        "push": f"token-{rng.getrandbits(128):032x}",
    }
    kept = rng.sample(CHANNELS, rng.randint(1, 3))
    person: Json = {
        "recipient_id": recipient_id,
        "addresses": {channel: addresses[channel] for channel in CHANNELS if channel in kept},
        "locale": rng.choice(LOCALES),
        "timezone": rng.choice(ZONES),
    }
    if len(kept) > 1 and rng.random() < 0.2:
        person["channels"] = kept[:1]
    wanted = rng.choice(FILTERS)
    if wanted:
        person["events"] = list(wanted)
    return person


def told(people: list[Json], code: str, *, by_default: bool) -> int:
    """How many notifications an event of ``code`` makes of these people, counted here as the contract says it."""
    return sum(
        len(person.get("channels") or person["addresses"])
        for person in people
        if (code in person["events"] if "events" in person else by_default)
    )
