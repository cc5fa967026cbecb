"""Events of a socket or of a recording, one after the other: for scripts and notebooks.

The long-running way is the listener, which never lets go of the provider's one connection,
counts what is lost and spreads the work. This is the short one: one connection, no queue.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tapewire.model.batch import Batch
from tapewire.model.events import Clock, Event
from tapewire.providers.batcher import Slice
from tapewire.providers.massive.protocol import (
    CloseReason,
    ConnectionState,
    FrameSplitter,
    MassiveConnection,
    QueueNameResolver,
    decode,
)
from tapewire.runtime.service import RefusedByProvider
from tapewire.simulators.source_strings import parse_source
from tapewire.simulators.sources import WHOLE_FRAME

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024

_REFUSALS: Final = frozenset({CloseReason.AUTH_FAILED, CloseReason.NOT_AUTHORIZED})


async def read_events(
    place: str, key: str = "", topics: Sequence[str] = ("A.*",)
) -> AsyncIterator[list[Event]]:
    """Decoded events, in order, a frame at a time; at the end a ``Clock`` that says so.

    Args:
        place: ``ws://…`` or ``wss://…`` with its path (``/stocks``), or what ``tapewire replay``
            takes: a file, a folder, ``generator:…``.
        key: the provider's, for a socket.
        topics: what a socket is asked for; a recording gives everything that it holds.

    A socket is read until it closes; nothing is replayed, so a script that wants to go on calls
    again. Raises RefusedByProvider for a key or topics that are refused, SourceError for a place
    that is neither, OSError and ``websockets`` exceptions where nobody can be reached.
    """
    if place.startswith(("ws://", "wss://")):
        async for events in _of_socket(place, key, topics):
            yield events
    else:
        for frame in _frames_of(place):
            yield frame
            await asyncio.sleep(0)
    yield [Clock(0, final=True)]


async def _of_socket(url: str, key: str, topics: Sequence[str]) -> AsyncIterator[list[Event]]:
    connection = MassiveConnection(key, topics, FrameSplitter(QueueNameResolver({})))
    # No answer to a ping is no reason to leave a provider that sends data (massive.md 1.3).
    async with connect(url, max_size=MAX_FRAME_BYTES, ping_timeout=None) as socket:
        connection.opened()
        while connection.state is not ConnectionState.CLOSED:
            try:
                items = connection.receive(await socket.recv(decode=False))
                for message in connection.data_to_send():
                    await socket.send(message.decode())
            except ConnectionClosed as closed:
                code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
                connection.closed(code, reason)
                break
            if events := _decoded(items):
                yield events
    if connection.reason in _REFUSALS:
        raise RefusedByProvider(f"the provider refused: {connection.message}")


def _frames_of(place: str) -> Iterator[list[Event]]:
    splitter = FrameSplitter(QueueNameResolver({}))
    for slice_ in parse_source(place).slices():
        whole = [text for _, topic, text in slice_ if topic == WHOLE_FRAME]
        loose = [text for _, topic, text in slice_ if topic != WHOLE_FRAME]
        for frame in [*whole, *([f"[{','.join(loose)}]"] if loose else [])]:
            if events := _decoded(splitter.split(frame.encode("utf-8", "surrogateescape"))):
                yield events


def _decoded(items: Sequence[object]) -> list[Event]:
    return [event for item in items if isinstance(item, Slice) for event in _events_of(item)]


def _events_of(part: Slice) -> list[Event]:
    shard = part.shard
    batch = Batch("massive", shard.stream, shard.index, "", 0, 0, part.count, 0, part.payload)
    return decode(batch).events
