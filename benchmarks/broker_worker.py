"""One of several processes that fold a broker's ticks; ``brokers.py`` starts them.

``python -m benchmarks.broker_worker BROKER PART PARTS TICKS RATE FRAMES URL`` makes the frames
of its part of the instruments (a connection of its own), says ``ready``, waits for a line, runs
the whole way into its Redis database, and prints one line of JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.broker_line import Line, differences
from benchmarks.broker_market import KINDS, tape
from benchmarks.frames import load
from benchmarks.peak import make_peak


def main(broker: str, part: int, parts: int, ticks: int, rate: float, file: str, url: str) -> None:
    """Make, wait, run, tell."""
    kind = next(one for one in KINDS if one.name == broker)
    with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as folder:
        recording = load(Path(file) if file else None, Path(folder))
    made = tape(kind, make_peak(recording, ticks, rate), part, parts)

    async def started() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()

    line = Line(made, url)
    with machine.on_core(part % max(1, len(machine.cores()))):
        timing = machine.run_on_loop(lambda: line.run(started))
    ended_s = time.time()
    said = {
        "ticks": timing.ticks,
        "began_s": ended_s - timing.seconds,
        "ended_s": ended_s,
        "cpu_s": timing.cpu_s,
        "wrong": differences(url, [made])[:5],
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    name, which, of, count, speed, frames, address = sys.argv[1:]
    main(name, int(which), int(of), int(count), float(speed), frames, address)
