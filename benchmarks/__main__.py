"""``python -m benchmarks [NAME…] [--json] [--frames FILE]``; ``make bench`` calls it."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from benchmarks import (
    analyzers,
    brokers,
    dashboard,
    fold,
    latency,
    listener,
    machine,
    memory,
    rabbitmq,
    widgets,
)
from benchmarks.frames import FramesError, load
from benchmarks.plan import Plan
from benchmarks.report import Reporter, Row, say
from tapewire.providers.capture import CaptureError
from tests.servers import ServerError

BENCHMARKS: Final[Mapping[str, Callable[[Plan], Iterator[Row]]]] = {
    "fold": fold.run,
    "listener": listener.run,
    "rabbitmq": rabbitmq.run,
    "widgets": widgets.run,
    "latency": latency.run,
    "dashboard": dashboard.run,
    "analyzers": analyzers.run,
    "memory": memory.run,
    "brokers": brokers.run,
}

USAGE, MISSING, INTERRUPTED = 2, 4, 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{names}; all by default")
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout")
    parser.add_argument(
        "--frames", type=Path, metavar="FILE", help="a raw capture, or one JSON frame a line"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of a run (5)")
    parser.add_argument("--runs", type=int, default=5, help="runs behind each median (5)")
    parser.add_argument(
        "--processes", type=int, default=4, help="most processes that brokers measures (4)"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"{name!r} is not a benchmark; expected some of {names}")
    if options.seconds <= 0 or options.runs < 1:
        parser.error("--seconds must be above 0 and --runs at least 1")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 1 when an answer differed, 4 when a server is missing."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="tapewire-bench-") as folder:
        try:
            return measure(options, Path(folder))
        except (FramesError, CaptureError, FileNotFoundError) as error:
            say(f"benchmarks: {error}")
            return USAGE
        except ServerError as error:
            say(f"benchmarks: {error}")
            return MISSING
        except KeyboardInterrupt:
            return INTERRUPTED


def measure(options: argparse.Namespace, folder: Path) -> int:
    """Every chosen benchmark in turn."""
    say(machine.describe())
    plan = Plan(
        load(options.frames, folder / "day"),
        folder,
        options.seconds,
        options.runs,
        options.frames and options.frames.resolve(),
        options.processes,
    )
    reporter = Reporter(json=options.json)
    for name in dict.fromkeys(options.names or BENCHMARKS):
        for row in BENCHMARKS[name](plan):
            reporter.add(row)
    return reporter.end()


def _on_terminate(number: int, _: object) -> NoReturn:
    """Unwind, so that the servers are stopped."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _on_terminate)
    sys.exit(main(sys.argv[1:]))
