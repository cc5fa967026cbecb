"""Processes around the widget service: the service itself, and clients that can be stopped.

``python -m tests.integration.widget_process PORT`` is one client: it subscribes to
``quote:*`` at 10 Hz and writes one JSON line a frame: when it came (monotonic seconds), the
number of the flush in it. It ends with an error when a ``prev`` does not follow.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT
from tests.servers import end, free_port, is_listening, wait_until
from tests.services.widget_clients import viewer


@contextmanager
def widget_service(redis: str, **settings: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """``tapewire run widgets`` in a process of its own; its port."""
    port = free_port()
    environment = {
        **os.environ,
        "WDC_REDIS_URL": redis,
        "MDC_REDIS_URL": redis,
        "TAPEWIRE_HTTP_PORT_WDS": str(port),
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tapewire", "run", "widgets"], cwd=PROJECT, env=environment
    )
    try:
        wait_until(lambda: is_listening(port), "the widget service", 20.0, process=process)
        yield port, process
    finally:
        end(process, signal.SIGTERM)


@contextmanager
def client(port: int, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A client in a process of its own; its lines go to ``out``."""
    with out.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.widget_process", str(port)],
            cwd=PROJECT,
            stdout=lines,
        )
    try:
        wait_until(lambda: out.stat().st_size > 0, "a client", 20.0, process=process)
        yield process
    finally:
        process.kill()
        process.wait()


def lines_of(out: Path) -> list[Mapping[str, Any]]:
    """What a client wrote; its last line may be unfinished."""
    return [json.loads(line) for line in out.read_text().splitlines(keepends=True) if "\n" in line]


async def watch(port: int) -> None:
    """Be a client until killed."""
    async with viewer(port) as one:
        await one.subscribe("quote:*")
        while True:
            row = next(iter(one.feeds["quote:*"].rows.values()), {"volume": 0})
            print(json.dumps({"at": time.monotonic(), "flush": row["volume"]}), flush=True)
            await one.read()  # raises when a prev does not follow


if __name__ == "__main__":
    asyncio.run(watch(int(sys.argv[1])))
