"""A service to run in a process of its own: ``python toy_service.py BEHAVIOUR [PORT]``.

It prints what happens to it, one word a line, so that a test can follow it.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

from tapewire.runtime.parent import watch_parent

watch_parent()
if sys.argv[1:2] == ["stuck_in_import"]:
    print("importing", flush=True)
    time.sleep(600)

from tapewire.runtime.health import HttpAddress  # noqa: E402 - the watch comes first
from tapewire.runtime.logging import LogOptions, configure_logging  # noqa: E402
from tapewire.runtime.runner import Deadlines, run_service  # noqa: E402
from tapewire.runtime.service import (  # noqa: E402
    DependencyMissing,
    RefusedByProvider,
    Report,
    State,
    UsageError,
)

ERRORS = {
    "usage": UsageError("MASSIVE_FEED: 'x' is not valid"),
    "refused": RefusedByProvider("the provider refused the key open-sesame"),
    "missing": DependencyMissing("no server at redis://:open-sesame@host"),
    "bug": RuntimeError("a bug"),
}


class ToyService:
    name = "toy"

    def __init__(self, behaviour: str) -> None:
        self._behaviour = behaviour
        self._ended = asyncio.Event()

    async def start(self) -> None:
        print("start", flush=True)
        if self._behaviour == "slow_start":
            await asyncio.sleep(600)

    async def wait(self) -> None:
        if error := ERRORS.get(self._behaviour):
            raise error
        if self._behaviour == "freeze":
            time.sleep(600)  # noqa: ASYNC251 - that is the fault
        if self._behaviour != "done":
            await self._ended.wait()

    async def drain(self) -> None:
        print("drain", flush=True)
        if self._behaviour == "slow_drain":
            await asyncio.sleep(600)
        self._ended.set()

    async def stop(self) -> None:
        print("stop", flush=True)
        if self._behaviour == "slow_stop":
            await asyncio.sleep(600)

    def report(self) -> Report:
        return Report("toy", "0", State.RUNNING, healthy=True, since_ms=0)

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if name != "echo":
            raise ValueError(f"unknown command {name!r}; known: echo")
        return arguments


def main() -> int:
    configure_logging(LogOptions(form="json", secrets=("open-sesame",)))
    http = HttpAddress("127.0.0.1", int(sys.argv[2])) if len(sys.argv) > 2 else None
    deadlines = Deadlines(drain_s=0.5, stop_s=0.5)
    return run_service(ToyService(sys.argv[1]), http=http, deadlines=deadlines)


if __name__ == "__main__":
    sys.exit(main())
