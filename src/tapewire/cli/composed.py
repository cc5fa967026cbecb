"""A service together with the connections that it works over, as one service.

The connections are opened when it starts, inside the event loop, and closed after it has
stopped, in the opposite order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from tapewire.runtime.service import Report, Service, ServiceError, State


class Alongside:
    """Work that runs beside a service, and ends it when it fails."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin some work."""
        self._tasks.append(asyncio.create_task(work, name=name))

    async def wait_with(self, main: Coroutine[Any, Any, None]) -> None:
        """Return when ``main`` has; raise what it, or any of the work, failed with."""
        first = asyncio.create_task(main)
        tasks: set[asyncio.Task[None]] = {first, *self._tasks}
        try:
            while not first.done():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel the work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Make = Callable[[AsyncExitStack, Alongside], Awaitable[Service]]


class Composed:
    """Opens what ``make`` opens, then is the service that it returns."""

    def __init__(self, name: str, instance: str, since_ms: int, make: Make) -> None:
        self.name = name
        self._instance = instance
        self._since_ms = since_ms
        self._make = make
        self._stack = AsyncExitStack()
        self._alongside = Alongside()
        self._service: Service | None = None

    async def start(self) -> None:
        """Open everything and start; raises what a server that does not answer makes it raise."""
        self._service = await self._make(self._stack, self._alongside)
        await self._service.start()

    async def wait(self) -> None:
        """Return when the service has ended; raise what ended it, or the work beside it."""
        assert self._service is not None
        await self._alongside.wait_with(self._service.wait())

    async def drain(self) -> None:
        """Drain the service; its connections stay open."""
        if self._service is not None:
            await self._service.drain()

    async def stop(self) -> None:
        """Stop the service and close its connections, also after a start that failed."""
        await self._alongside.stop()
        try:
            if self._service is not None:
                await self._service.stop()
        finally:
            await self._stack.aclose()

    def report(self) -> Report:
        """The service's own; before there is one, that it is starting."""
        if self._service is not None:
            return self._service.report()
        return Report(self.name, self._instance, State.STARTING, False, self._since_ms)

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Pass a command on."""
        if self._service is None:
            raise ServiceError(f"{self.name} is still starting; try again")
        return await self._service.command(name, arguments)
