"""A process that outlives the run is seen."""

import subprocess
import sys

from tests.leftovers import describe_leftovers

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_of_this_run_is_found_until_it_ends() -> None:
    process = subprocess.Popen(SLEEP)
    try:
        mine = [line for line in describe_leftovers(0.2) if line.startswith(f"{process.pid} ")]
        assert bool(mine) == sys.platform.startswith("linux")
    finally:
        process.kill()
        process.wait()
    assert not any(line.startswith(f"{process.pid} ") for line in describe_leftovers(0.2))
