"""MassiveDataListener: off the provider's socket, into the shards' queues.

The reader moves bytes and nothing more: Massive's events travel as they came, cut and joined.
What it does with them is every listener's (``listening.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from msgspec import to_builtins

from tapewire.model.streams import Shard, Stream
from tapewire.providers.batcher import Batcher, Slice
from tapewire.providers.massive.client import MassiveClient
from tapewire.providers.massive.splitter import FrameSplitter, QueueNameResolver
from tapewire.providers.massive.wire import newest_ms
from tapewire.queues.queue import Queue
from tapewire.runtime.lease import Lease
from tapewire.services.listening import Listener, ListenerBounds, ListenerOptions
from tapewire.services.source import Capture, Take

__all__ = ["Capture", "ListenerBounds", "MassiveDataListener", "MassiveSource", "newest_of"]


class MassiveSource:
    """One ``MassiveClient`` as a ``Source``; ``resolver`` says where its events belong."""

    def __init__(self, client: MassiveClient, resolver: QueueNameResolver) -> None:
        self._client = client
        self._splitter = FrameSplitter(resolver)
        self.pause = client.pause
        self.resume = client.resume
        self.stop = client.stop

    @property
    def connections(self) -> int:
        """Connections made so far."""
        return self._client.statistics.connections

    @property
    def last_ending(self) -> str:
        """Why the last connection ended."""
        return self._client.last_ending

    @property
    def healthy(self) -> bool:
        """Subscribed, and bytes came lately wherever they are expected."""
        return self._client.healthy

    @property
    def paused(self) -> bool:
        """Reading has been stopped by ``pause``."""
        return self._client.paused

    async def run(self, take: Take) -> None:
        """Read until ``stop`` or the source's end."""
        await self._client.run(
            self._splitter, lambda frame, slices: take(frame, slices, newest_of(slices))
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``subscribe`` and ``unsubscribe`` take ``topics``: a list, or text with commas."""
        commands = {"subscribe": self._client.subscribe, "unsubscribe": self._client.unsubscribe}
        action = commands.get(name)
        if action is None:
            raise ValueError(f"{name!r} is not a command; expected one of {', '.join(commands)}")
        await action(_topics(arguments.get("topics")))
        return {"topics": self._client.topics}

    def detail(self) -> dict[str, Any]:
        """The client's state and counts, and what was in the frames."""
        client, frames = self._client, self._splitter.statistics
        return {
            "provider": to_builtins(client.statistics)
            | {
                "url": client.url,
                "state": client.state.value,
                "connected": client.connected,
                "authenticated": client.authenticated,
                "subscribed": client.subscribed,
                "paused": client.paused,
                "topics": client.topics,
                "unconfirmed": client.unconfirmed,
                "last_ending": client.last_ending,
            },
            "frames": frames.frames,
            "bytes": frames.bytes,
            "bad_frames": frames.bad_frames,
            "events_by_type": dict(frames.events),
            "unknown": dict(frames.unknown),
        }


class MassiveDataListener(Listener):
    """The service around one ``MassiveClient``.

    ``shards`` is the number of shards by stream; ``unknown`` is added with one. Events of a
    stream that is not named are counted and not published. ``options`` are ``Listener``'s.
    """

    def __init__(
        self,
        client: MassiveClient,
        queue: Queue,
        lease: Lease,
        *,
        shards: Mapping[Stream, int],
        producer: str = "massive",
        **options: Unpack[ListenerOptions],
    ) -> None:
        counts = {Stream.UNKNOWN: 1, **shards}
        batcher = Batcher("massive", producer, _every(counts))
        source = MassiveSource(client, QueueNameResolver(counts))
        super().__init__(source, batcher, queue, lease, **options)


def newest_of(slices: Sequence[Slice]) -> int | None:
    """Event time in ms of a frame's newest event; None where it has none.

    How a source that is in order was cut into frames makes no difference to it: of each shard's
    part of a frame the last event is read.
    """
    times = [newest_ms(each.payload) for each in slices]
    return max((at_ms for at_ms in times if at_ms is not None), default=None)


def _every(counts: Mapping[Stream, int]) -> list[Shard]:
    return [Shard(stream, k) for stream, count in counts.items() for k in range(count)]


def _topics(given: Any) -> list[str]:
    """Topics of a command's arguments; raises ValueError that says what was expected."""
    topics = given.split(",") if isinstance(given, str) else given
    sound = isinstance(topics, list) and topics and all(isinstance(one, str) for one in topics)
    if not sound:
        raise ValueError(f"topics is {given!r}; expected a list like ['T.*', 'A.AAPL']")
    return [topic.strip() for topic in topics if topic.strip()]
