"""Starting toy services as real processes, and seeing whether a process still lives."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import tapewire

TOY: Final = Path(__file__).with_name("toy_service.py")


def toy(*arguments: str) -> tuple[str, ...]:
    """The command line of a toy service."""
    return (sys.executable, str(TOY), *arguments)


def environ(**more: str) -> dict[str, str]:
    """Our environment, with this package importable in the child."""
    source = str(Path(tapewire.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": source, **more}


def state(pid: int) -> str:
    """The state of a process as ``/proc`` has it: ``R``, ``S``, ``T`` (stopped), ``Z``; or ""."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return ""
    return status.rpartition(")")[2].split()[0]


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    return state(pid) not in {"", "Z"}


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for a condition; AssertionError when it does not come true in time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is watched is another process
            await asyncio.sleep(0.02)
