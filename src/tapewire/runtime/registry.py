"""The registry contract: who runs, how they are, and commands to them while they run.

The control plane, ``tapewire status`` and the process manager read it; every service
writes its report here once a second. ``caches/registry.py`` keeps it in Redis.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct, field

from tapewire.runtime.service import Report

REPORT_TTL_S: Final = 10
"""Seconds after which a service that says nothing is no longer listed."""

MAX_COMMANDS: Final = 100
"""Commands that may wait for one instance; the oldest are dropped."""


class RegistryError(Exception):
    """A command was not carried out; the message says by whom and why."""


class Command(Struct):
    """A run-time command to one instance, as it waits there. ``id`` names its reply."""

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Reply(Struct):
    """What became of a command: a result, or the error that refused it."""

    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def checked(self, service: str, instance: str, name: str) -> dict[str, Any]:
        """The result; raises RegistryError when the instance refused the command."""
        if self.error:
            raise RegistryError(f"{service} {instance} refused {name!r}: {self.error}")
        return self.result


class Registry(Protocol):
    """Reports and commands of all services of one deployment."""

    async def heartbeat(self, report: Report) -> None:
        """Say that an instance lives, and how it is; forgotten after 10 s."""

    async def forget(self, service: str, instance: str) -> None:
        """Take an instance off the list: it stopped in good order."""

    async def reports(self, max_age_s: float = REPORT_TTL_S) -> list[Report]:
        """Reports of all living instances, by service and instance.

        Those of a process that was killed stay for 10 s: ``max_age_s`` asks for newer ones.
        """

    async def send(
        self, service: str, instance: str, name: str, arguments: Mapping[str, Any], wait_s: float
    ) -> Mapping[str, Any]:
        """Have an instance carry out a command and return its result.

        Raises RegistryError when it refuses, or does not answer within ``wait_s``.
        """

    async def take(self, service: str, instance: str, wait_s: float) -> Command | None:
        """The oldest command that waits for an instance; None after ``wait_s`` without one."""

    async def answer(self, command: Command, reply: Reply) -> None:
        """Give the sender its reply."""


class MemoryRegistry:
    """The in-process twin.

    Args:
        now_s: a clock that only goes forward, seconds.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._reports: dict[tuple[str, str], tuple[float, Report]] = {}
        self._waiting: dict[tuple[str, str], deque[Command]] = {}
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self._sent = asyncio.Event()
        self._last_id = 0

    async def heartbeat(self, report: Report) -> None:
        """Keep a report for 10 s."""
        key = (report.service, report.instance)
        self._reports[key] = (self._now_s() + REPORT_TTL_S, report)

    async def forget(self, service: str, instance: str) -> None:
        """Take an instance off the list."""
        self._reports.pop((service, instance), None)

    async def reports(self, max_age_s: float = REPORT_TTL_S) -> list[Report]:
        """Reports of all living instances."""
        now_s = self._now_s()
        self._reports = {key: kept for key, kept in self._reports.items() if kept[0] > now_s}
        oldest_s = now_s + REPORT_TTL_S - max_age_s
        kept = sorted(self._reports.items())
        return [report for _, (until_s, report) in kept if until_s > oldest_s]

    async def send(
        self, service: str, instance: str, name: str, arguments: Mapping[str, Any], wait_s: float
    ) -> Mapping[str, Any]:
        """Have an instance carry out a command and return its result."""
        self._last_id += 1
        command = Command(str(self._last_id), name, dict(arguments))
        replied = self._replies[command.id] = asyncio.get_running_loop().create_future()
        self._queue(service, instance).append(command)
        self._sent.set()
        self._sent = asyncio.Event()
        try:
            reply: Reply = await asyncio.wait_for(replied, wait_s)
        except TimeoutError:
            raise no_answer(service, instance, name, wait_s) from None
        finally:
            del self._replies[command.id]
        return reply.checked(service, instance, name)

    def _queue(self, service: str, instance: str) -> deque[Command]:
        return self._waiting.setdefault((service, instance), deque(maxlen=MAX_COMMANDS))

    async def take(self, service: str, instance: str, wait_s: float) -> Command | None:
        """The oldest command that waits for an instance."""
        queue = self._queue(service, instance)
        try:
            async with asyncio.timeout(wait_s):
                while not queue:
                    await self._sent.wait()
        except TimeoutError:
            return None
        return queue.popleft()

    async def answer(self, command: Command, reply: Reply) -> None:
        """Give the sender its reply, if it still waits."""
        replied = self._replies.get(command.id)
        if replied is not None and not replied.done():
            replied.set_result(reply)


def no_answer(service: str, instance: str, name: str, wait_s: float) -> RegistryError:
    """The error of a command that nobody answered."""
    return RegistryError(
        f"{service} {instance} did not answer {name!r} within {wait_s:g} s; "
        "`tapewire status` lists what runs"
    )
