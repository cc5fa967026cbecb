"""The registry in the Market Data Cache: reports and commands that every process sees."""

from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any, Final

import msgspec

from tapewire.caches.connection import TIMEOUT_S, Link, unix_ms
from tapewire.caches.connection import Command as Sent
from tapewire.caches.keys import MarketDataCacheKeys as Keys
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.runtime.registry import MAX_COMMANDS, Command, Reply, no_answer
from tapewire.runtime.service import Report

_encode = msgspec.json.Encoder().encode
_decode_report = msgspec.json.Decoder(Report).decode
_decode_command = msgspec.json.Decoder(Command).decode
_decode_reply = msgspec.json.Decoder(Reply).decode

_LONGEST_WAIT_S: Final = 60.0


class RedisRegistry:
    """Implements ``runtime.registry.Registry``; every value is JSON.

    Args:
        url: the Market Data Cache.
        now_ms: wall clock, for who still lives.
        new_id: makes a command's id, never the same twice.
    """

    def __init__(
        self,
        url: str,
        *,
        now_ms: Callable[[], int] = unix_ms,
        new_id: Callable[[], str] = token_hex,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._link = Link(url, timeout_s=timeout_s)
        self._waiting = Link(url, timeout_s=timeout_s + _LONGEST_WAIT_S)
        self._now_ms = now_ms
        self._new_id = new_id

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()
        await self._waiting.close()

    async def heartbeat(self, report: Report) -> None:
        """Write a report that lives for 10 s, and list its instance as long."""
        now_ms = self._now_ms()
        key = Keys.report(report.service, report.instance)
        await self._link.together(
            [
                ("SET", key, _encode(report), "EX", Ttl.REPORT_S),
                ("ZREMRANGEBYSCORE", Keys.SERVICES, "-inf", now_ms),
                ("ZADD", Keys.SERVICES, now_ms + Ttl.REPORT_S * 1000, key),
                ("EXPIRE", Keys.SERVICES, Ttl.REPORT_S),
            ],
            atomic=True,
        )

    async def forget(self, service: str, instance: str) -> None:
        """Take an instance off the list."""
        key = Keys.report(service, instance)
        commands: list[Sent] = [("DEL", key), ("ZREM", Keys.SERVICES, key)]
        await self._link.together(commands, atomic=True)

    async def reports(self, max_age_s: float = Ttl.REPORT_S) -> list[Report]:
        """Reports of all living instances."""
        oldest_ms = self._now_ms() + int((Ttl.REPORT_S - max_age_s) * 1000)
        keys = await self._link.run("ZRANGEBYSCORE", Keys.SERVICES, oldest_ms, "+inf")
        packed = await self._link.run("MGET", *keys) if keys else []
        found = [_decode_report(report) for report in packed if report is not None]
        return sorted(found, key=lambda report: (report.service, report.instance))

    async def send(
        self, service: str, instance: str, name: str, arguments: Mapping[str, Any], wait_s: float
    ) -> Mapping[str, Any]:
        """Put a command on the instance's list and wait for the reply."""
        command = Command(self._new_id(), name, dict(arguments))
        key = Keys.commands(service, instance)
        await self._link.together(
            [
                ("RPUSH", key, _encode(command)),
                ("LTRIM", key, -MAX_COMMANDS, -1),
                ("EXPIRE", key, Ttl.COMMANDS_S),
            ],
            atomic=True,
        )
        packed = await self._wait(Keys.reply(command.id), wait_s)
        if packed is None:
            raise no_answer(service, instance, name, wait_s)
        return _decode_reply(packed).checked(service, instance, name)

    async def _wait(self, key: str, wait_s: float) -> bytes | None:
        found = await self._waiting.run("BLPOP", key, min(wait_s, _LONGEST_WAIT_S))
        return found[1] if found else None

    async def take(self, service: str, instance: str, wait_s: float) -> Command | None:
        """The oldest command that waits for an instance."""
        packed = await self._wait(Keys.commands(service, instance), wait_s)
        return _decode_command(packed) if packed is not None else None

    async def answer(self, command: Command, reply: Reply) -> None:
        """Put the reply where the sender waits for it."""
        key = Keys.reply(command.id)
        commands: list[Sent] = [("RPUSH", key, _encode(reply)), ("EXPIRE", key, Ttl.REPLY_S)]
        await self._link.together(commands, atomic=True)
