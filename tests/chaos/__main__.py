"""``make chaos``: put the pipeline under every fault of the schedule, and print whether it kept its promises.

    python -m tests.chaos [--seed N] [--only NAME]... [--scale full|short] [--keep FOLDER]

Exit code 1 where a promise was broken; the history of what broke it is kept then.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from stack.signals import interruptible
from tests.chaos.report import WIDTH, line, print_all
from tests.chaos.runner import play_all
from tests.chaos.scenario import SCALES
from tests.chaos.schedule import SCENARIOS

LARGEST_SEED = 10**6


def main() -> int:
    options = _options()
    scale = SCALES[options.scale]
    chosen = [one for one in SCENARIOS if one.name in options.only] or scale.choose(SCENARIOS)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(f"seed {options.seed}: {len(chosen)} scenarios")
    folder = options.keep or Path(tempfile.mkdtemp(prefix="herald-chaos-"))
    results = play_all(
        chosen, scale=scale, seed=options.seed, folder=folder, on_played=lambda played: console.print(line(played))
    )
    print_all(console, results, seed=options.seed)
    broken = [played.name for played in results if played.broken]
    if broken:
        console.print(f"Broken: {', '.join(broken)}. Their history is in {folder}; once more:", style="red")
        console.print(f"make chaos SEED={options.seed} ONLY={','.join(broken)}")
    elif options.keep is None:
        shutil.rmtree(folder)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Puts the pipeline under every fault.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(LARGEST_SEED))
    parser.add_argument("--only", type=_names, default=(), metavar="NAME,…", help="these scenarios alone")
    parser.add_argument("--scale", choices=tuple(SCALES), default="full")
    parser.add_argument("--keep", type=Path, help="a folder, not there yet, for ledgers and logs")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - {one.name for one in SCENARIOS}:
        raise argparse.ArgumentTypeError(
            f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in SCENARIOS)}"
        )
    return names


if __name__ == "__main__":
    # Told to stop, it leaves no process behind, as with Ctrl-C.
    with interruptible():
        status = main()
    sys.exit(status)
