"""Search for bad schedules, or play one again and tell its story.

python -m tests.simulation sending 0-4999                 play seeds; the first that fails is shortened and told
python -m tests.simulation sending 231                    play one seed
python -m tests.simulation sending 'send-1.produce#0:3'   play a schedule
"""

import argparse
import sys

from tests.simulation.choices import Drawn, Given, parsed, written
from tests.simulation.schedules import PROFILES, simulated
from tests.simulation.search import Failure, play, same_in_every_process, search, shortest


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", choices=PROFILES)
    parser.add_argument("what", help="a seed, a range of seeds (first-last), or a schedule")
    parser.add_argument("--as-it-is", action="store_true", help="do not look for the shortest story")
    arguments = parser.parse_args()
    with simulated():
        return _play(arguments.profile, arguments.what, shorten=not arguments.as_it_is)


def _play(profile: str, what: str, *, shorten: bool) -> int:
    if ":" in what:
        failure = play(profile, Given(parsed(what)))
        return _tell(profile, failure) if failure else _say("holds")
    first, _, last = what.partition("-")
    if not last:
        failure = play(profile, Drawn(int(first)))
        return _tell(profile, shortest(profile, failure) if shorten else failure) if failure else _say("holds")
    found = search(profile, range(int(first), int(last) + 1))
    _say(f"{profile}: {found.schedules} schedules in {found.seconds:.1f} s, {found.per_minute:,.0f} a minute")
    for seed, failure in found.failures.items():
        _say(f"seed {seed} fails: {failure.what}")
        return _tell(profile, shortest(profile, failure) if shorten else failure)
    return 0


def _tell(profile: str, failure: Failure) -> int:
    for line in failure.story:
        _say(line)
    _say(f"\nagain: python -m tests.simulation {profile} '{written(failure.schedule)}'")
    return 1


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    same_in_every_process()
    sys.exit(main())
