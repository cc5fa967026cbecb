"""What ticks that wait take in memory; a process of its own, so that nothing else counts.

``python -m benchmarks.tick_backlog TICKS`` puts ticks of 1,000 instruments, 50,000 of them in
a second of event time, into the listener's queue until so many wait, then as many again, which
are conflated. One line of JSON: megabytes then and then, and how long ``put`` took.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.broker_market import FIRST_TOKEN, FRAME_TICKS, START_MS
from benchmarks.memory import resident_mb
from benchmarks.streams import percentile
from tapewire.model.events import Tick
from tapewire.services.tick_intake import TickIntake
from tapewire.services.tick_queue import MAX_BYTES, Held, TickQueue

INSTRUMENTS: Final = 1_000
TICKS_PER_SECOND: Final = 50_000


def frames() -> Iterator[list[Tick]]:
    """Ticks as a broker's connection makes them, without end."""
    names = [(str(FIRST_TOKEN + k), f"F{k:04}26NOVFUT") for k in range(INSTRUMENTS)]
    number = 0
    while True:
        frame = []
        for _ in range(FRAME_TICKS):
            token, symbol = names[number % INSTRUMENTS]
            volume = 1_000_000 + 75 * (number // INSTRUMENTS)
            t = START_MS + 1_000 * number // TICKS_PER_SECOND
            price = 20_000 + number % 977 / 20
            received_ns = t * 1_000_000
            frame.append(
                Tick(
                    "dhan", "NSE_FO", token, symbol, price, 75, volume, 5_000_000, t, received_ns
                )
            )  # fmt: skip
            number += 1
        yield frame


def main(most_ticks: int) -> None:
    """Fill the queue, overfill it, empty it."""
    intake, queue, source = TickIntake(1), TickQueue(max_ticks=most_ticks), frames()
    before_mb, waits_ns = resident_mb(), list[int]()
    sizes = []
    for _ in range(2):
        for _ in range(most_ticks // FRAME_TICKS):
            held = Held(time.time_ns(), intake.slices(next(source)))
            began = time.perf_counter_ns()
            queue.put(held)
            waits_ns.append(time.perf_counter_ns() - began)
        sizes.append(resident_mb() - before_mb)
    statistics, waiting, given = queue.statistics, len(queue), 0
    while queue:
        given += queue.pop().ticks
    whole = statistics.put == statistics.conflated + statistics.dropped + given == 2 * most_ticks
    said = {
        "full_mb": sizes[0],
        "overfull_mb": sizes[1],
        "most_mb": MAX_BYTES / 1024 / 1024,
        "conflated": statistics.conflated,
        "dropped": statistics.dropped,
        "put_p99_us": percentile([ns / 1000 for ns in waits_ns], 0.99),
        "put_max_ms": max(waits_ns) / 1e6,
        "whole": whole and waiting == given,
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
