"""Which of the processes side by side that run the tests is this, from 0, and of how many?"""

import os

PLACE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PLACES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
