"""How does a worker run that can be made to die at a point, or to misread the clock? As always, but wrapped.

``python -m tests.chaos.worker`` is Faust's command line as `cli.worker.worker_command` has it, in the environment of a
worker, with the folder of the orders in ``CHAOS_FOLDER``.
"""

import os
import sys
from pathlib import Path

from tests.chaos import clock

FOLDER_VARIABLE = "CHAOS_FOLDER"


def main() -> None:
    """Every import that may hold on to the time, or choose an event loop, comes after what it depends on."""
    folder, name = Path(os.environ[FOLDER_VARIABLE]), os.environ["HERALD_INSTANCE_ID"]
    clock.install(folder, name)

    from cli.worker import worker_command

    # Faust chooses the event loop by the arguments that it finds when it is imported.
    sys.argv = ["faust", *worker_command()[3:]]

    from faust.cli.faust import cli

    from settings import Role
    from tests.chaos.points import Points
    from tests.chaos.wraps import install

    role = Role(os.environ["HERALD_ROLE"])
    install(Points(folder, name, role), role)
    cli()


if __name__ == "__main__":
    main()
