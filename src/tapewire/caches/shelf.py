"""Where known things lie in MDC: their keys read and written, nothing decided.

A thing has up to three keys: its value, the flight (who is asking the provider now) and the
trouble (why nobody asks). What a script writes at the end of a flight, it writes only while the
flight is still the caller's.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tapewire.caches.connection import Argument, Command, Link, Script
from tapewire.caches.keys import MarketDataCacheKeys as Keys
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.caches.kinds import FROM_ROW, ROWS, Kind
from tapewire.caches.known import Entry, Source, Trouble
from tapewire.caches.reference import decode_loaded
from tapewire.model.rows import decode_reference

HEADER: Final = ""
"""Field of a whole market's hash that holds its `Entry`, without a body."""

FIELDS_AT_ONCE: Final = 2_000

REQUESTS_AT_ONCE: Final = 32
"""Each is a connection to the server; who looks up more things at once waits."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_entry: Final = msgspec.msgpack.Decoder(Entry).decode
_decode_trouble: Final = msgspec.msgpack.Decoder(Trouble).decode
_to_json: Final = msgspec.json.Encoder().encode


class SessionDay(Struct, frozen=True):
    """A session's date, and when its trading day ends."""

    date: str
    until_ms: int


class Seen(Struct):
    """What lies on the shelf of one thing: the newest value and where it is from."""

    entry: Entry | None = None
    source: Source = Source.ITSELF
    trouble: Trouble | None = None

    def offer(self, entry: Entry | None, source: Source) -> None:
        """Take another value if it is the newer one."""
        if entry and (self.entry is None or entry.fresh_until_ms > self.entry.fresh_until_ms):
            self.entry, self.source = entry, source


class Shelf:
    """Reads and writes known things.

    Args:
        link: the Market Data Cache.
        provider: a name for where values come from (`provider_of`); nobody else's are read.
    """

    def __init__(self, link: Link, provider: str) -> None:
        self._link = link
        self._provider = provider
        self._turns = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._keep = Script("flight_keep")
        self._land = Script("flight_land")

    async def see(self, kind: Kind, argument: str, sessions: Sequence[SessionDay]) -> Seen:
        """Look at one thing, in one round trip.

        ``sessions``: the one whose reference rows hold now, and older ones whose rows will do
        as stale.
        """
        commands: list[Command] = [("GET", self._key(kind.name, argument, "trouble"))]
        value = self._key(kind.name, argument, "value")
        commands.append(("HGET", value, HEADER) if kind.is_market else ("GET", value))
        if kind.whole_market == ROWS:
            for session in sessions:
                commands.append(("GET", Keys.loaded(session.date)))
                commands.append(("HGET", Keys.reference(session.date), argument))
        elif kind.whole_market:
            market = self._key(kind.whole_market, "", "value")
            commands.append(("HMGET", market, HEADER, argument))
        trouble, own, *market_answers = await self._together(commands)
        seen = Seen(trouble=_decode_trouble(trouble) if trouble else None)
        seen.offer(_decode_entry(own) if own else None, Source.ITSELF)
        if kind.whole_market == ROWS:
            answers = zip(sessions, market_answers[::2], market_answers[1::2], strict=True)
            for session, loaded, row in answers:
                seen.offer(self._from_row(kind, loaded, row, session.until_ms), Source.ROWS)
        elif kind.whole_market:
            seen.offer(_from_market(*market_answers[0]), Source.MARKET)
        return seen

    def _from_row(
        self, kind: Kind, packed: bytes | None, row: bytes | None, turn_ms: int
    ) -> Entry | None:
        """What the day's reference row says; None where it says nothing of this kind."""
        if packed is None or row is None:
            return None
        loaded, value = decode_loaded(packed), FROM_ROW[kind.name](decode_reference(row))
        if value is None or loaded.provider != self._provider:
            return None
        return Entry(loaded.loaded_ms, turn_ms, _to_json(value))

    async def market(self, kind: Kind) -> bytes:
        """Every symbol's value of a whole-market kind, as one JSON object by symbol."""
        found = await self._run("HGETALL", self._key(kind.name, "", "value"))
        bodies = {
            name.decode(): msgspec.Raw(body)
            for name, body in found.items()
            if name != HEADER.encode()
        }
        return _to_json(bodies)

    async def depart(self, kind: Kind, argument: str, token: str, lease_ms: int) -> bool:
        """Become the one who asks; False while somebody else is."""
        key = self._key(kind.name, argument, "flight")
        return bool(await self._run("SET", key, token, "NX", "PX", lease_ms))

    async def keep(self, kind: Kind, argument: str, token: str, lease_ms: int) -> bool:
        """Go on being the one who asks; False when somebody else is by now."""
        keys = [self._key(kind.name, argument, "flight")]
        return bool(await self._script(self._keep, keys, token, lease_ms))

    async def land(self, kind: Kind, argument: str, token: str, entry: Entry, live_ms: int) -> None:
        """Store a value and end the flight; nothing is stored when it is somebody else's."""
        keys = self._keys(kind, argument, "flight", "value")
        await self._script(self._land, keys, token, live_ms, _encode(entry))

    async def land_market(
        self, kind: Kind, token: str, entry: Entry, bodies: Mapping[str, bytes], live_ms: int
    ) -> None:
        """Store every symbol's value, replacing the last ones at once, and end the flight."""
        keys = self._keys(kind, "", "flight", "value", "staged")
        staged = keys[-1]
        await self._together(_stages(staged, entry, bodies))
        await self._script(self._land, keys, token, live_ms)

    async def land_trouble(
        self, kind: Kind, argument: str, token: str, trouble: Trouble, live_ms: int
    ) -> None:
        """Say why nobody should ask for a while, and end the flight."""
        keys = self._keys(kind, argument, "flight", "trouble")
        await self._script(self._land, keys, token, live_ms, _encode(trouble))

    async def give_up(self, kind: Kind, argument: str, token: str) -> None:
        """End the flight without a result: the next one may ask at once."""
        keys = self._keys(kind, argument, "flight", "value")
        await self._script(self._land, keys, token, 0)

    async def _run(self, *command: Argument) -> Any:
        async with self._turns:
            return await self._link.run(*command)

    async def _together(self, commands: Iterable[Command]) -> list[Any]:
        async with self._turns:
            return await self._link.together(commands, atomic=False)

    async def _script(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        async with self._turns:
            return await self._link.script(script, keys, *arguments)

    def _key(self, kind: str, argument: str, part: str) -> str:
        return Keys.known(self._provider, kind, argument, part)

    def _keys(self, kind: Kind, argument: str, *parts: str) -> Sequence[str]:
        return [self._key(kind.name, argument, part) for part in parts]


def _stages(staged: str, entry: Entry, bodies: Mapping[str, bytes]) -> Iterator[Command]:
    """Write a whole market beside the one that holds, some symbols at a time."""
    yield ("DEL", staged)
    yield ("HSET", staged, HEADER, _encode(entry))
    parts = [part for symbol, body in bodies.items() for part in (symbol, body)]
    for start in range(0, len(parts), FIELDS_AT_ONCE):
        yield ("HSET", staged, *parts[start : start + FIELDS_AT_ONCE])
    yield ("EXPIRE", staged, Ttl.STAGED_S)


def _from_market(header: bytes | None, body: bytes | None) -> Entry | None:
    """What the whole market's answer says; that it leaves a symbol out is an answer too."""
    if header is None:
        return None
    entry = _decode_entry(header)
    entry.body = body
    entry.reason = "" if body is not None else "not in the provider's list of the whole market"
    return entry
