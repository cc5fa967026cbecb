"""The machine under the figures, and who runs on which of its cores."""

import asyncio
import gc
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.servers import REDIS_BINARIES, ServerError, find_binary

_T = TypeVar("_T")

CAN_PIN: Final = hasattr(os, "sched_setaffinity")


def describe() -> str:
    """Processor, cores, system, Python and Redis, in one line."""
    return "; ".join(
        [
            f"{cpu_model()}, {os.cpu_count()} cores",
            f"{platform.system()} {platform.release()}",
            f"{platform.python_implementation()} {platform.python_version()}",
            redis_version(),
        ]
    )


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def redis_version() -> str:
    """``Redis server v=7.0.15`` and the like."""
    try:
        binary = find_binary(REDIS_BINARIES, "Redis")
    except ServerError:
        return "no Redis"
    said = subprocess.run([binary, "--version"], capture_output=True, check=False, text=True)
    return " ".join(said.stdout.split()[:3])


def cores() -> list[int]:
    """The cores that this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if CAN_PIN else []


@contextmanager
def on_core(which: int) -> Iterator[None]:
    """Run on one of our cores (0 the first, -1 the last), and start children there."""
    before = cores()
    if not before:
        yield
        return
    os.sched_setaffinity(0, {before[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(before))


def run_on_loop(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine on uvloop, as the services do, with the benchmark's own data hidden."""
    with hidden_data(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work())


@contextmanager
def hidden_data() -> Iterator[None]:
    """Hide the benchmark's own data from the garbage collector.

    A service does not carry its input and its oracle along.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)
