"""A running service's presence in the registry: it beats, takes commands, says good-bye.

The registry lives on a server that may be gone. Then heartbeats fail, are counted and
logged now and then; the service itself goes on undisturbed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tapewire.runtime.logging import SampledLog, get_logger
from tapewire.runtime.redact import redact
from tapewire.runtime.registry import Command, Registry, Reply
from tapewire.runtime.service import Report, Service

log = get_logger(__name__)

_TAKE_WAIT_S: Final = 30.0
"""How long one request for a command may wait at the registry; then it asks again."""


class Presence:
    """Speaks to the registry for one service.

    ``report`` is what the registry hears; ``every_s`` is the time between two heartbeats
    and the longest that one may take.
    """

    def __init__(
        self,
        service: Service,
        registry: Registry,
        report: Callable[[], Report],
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._registry = registry
        self._report = report
        self._every_s = every_s
        self._clock = clock
        self._sampled = SampledLog(log, per_second=1)
        self.failures = 0
        """Requests that the registry did not answer, or not in time."""

    async def beat_forever(self) -> None:
        """Tell the registry how the service is, once every ``every_s``."""
        while True:
            began_s = self._clock()
            await self._asked("heartbeat", self._beat())
            await asyncio.sleep(max(0.0, self._every_s - (self._clock() - began_s)))

    async def obey_forever(self) -> None:
        """Take commands one after the other and answer each."""
        me = self._report()
        while True:
            try:
                command = await self._registry.take(me.service, me.instance, _TAKE_WAIT_S)
            except Exception as error:  # noqa: BLE001 - counted, whatever the server does
                self._count("take a command", error)
                await asyncio.sleep(self._every_s)
                continue
            if command is not None:
                reply = await self._carry_out(command)
                await self._asked("answer", self._registry.answer(command, reply))

    async def leave(self, *, in_good_order: bool) -> None:
        """Take the service off the list, or leave word there of how it failed."""
        if not in_good_order:
            await self._asked("heartbeat", self._beat())
            return
        me = self._report()
        await self._asked("forget", self._registry.forget(me.service, me.instance))

    async def _beat(self) -> None:
        await self._registry.heartbeat(self._report())

    async def _carry_out(self, command: Command) -> Reply:
        """What the service answers; a command that fails does not end the service."""
        try:
            result = await self._service.command(command.name, command.arguments)
        except ValueError as error:
            return Reply(error=redact(str(error)))
        except Exception as error:
            log.exception("command failed", command=command.name)
            return Reply(error=redact(f"{type(error).__name__}: {error}"))
        log.info("command carried out", command=command.name)
        return Reply(result=dict(result))

    async def _asked(self, what: str, request: Awaitable[None]) -> None:
        """One bounded request; a failing one is counted and logged."""
        try:
            async with asyncio.timeout(self._every_s):
                await request
        except Exception as error:  # noqa: BLE001 - counted, whatever the server does
            self._count(what, error)

    def _count(self, what: str, error: Exception) -> None:
        self.failures += 1
        kind = type(error).__name__
        self._sampled.warning("registry does not answer", reason=kind, request=what, error=error)
