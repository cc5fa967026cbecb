"""One client of the Massive simulator: its dialogue and its subscriptions.

The dialogue and its silences follow massive.md, sections 1.2 and 1.3: a greeting, a key within
the time allowed, then subscriptions, each acknowledged; nothing is ever said about an unknown
topic, or about a subscription already held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from websockets.asyncio.server import ServerConnection

from tapewire.simulators.line import Line
from tapewire.simulators.sources import WHOLE_FRAME, Slice
from tapewire.simulators.statistics import Statistics

TOPICS: Final = frozenset({"T", "Q", "A", "AM", "LULD", "NOI", "FMV", "LV"})
ADD_ONS: Final = frozenset({"NOI", "FMV", "LV"})

STATUS: Final = {
    "connected": "Connected Successfully",
    "auth_success": "authenticated",
    "auth_failed": "authentication failed",
    "auth_timeout": "No authentication request received.",
    "error": "not authorized",
    "max_connections": "Maximum number of websocket connections exceeded. You have reached the "
    "connection limit for your account.",
    "slow_consumer": "too slow",  # its text is not published
    "force_disconnect": "disconnected by the server",  # its text is not published
}
"""The status catalogue of massive.md, section 1.2."""


class Acks(StrEnum):
    """How the acknowledgements of one request are framed."""

    BATCHED = "batched"
    SPLIT = "split"
    MIXED = "mixed"
    """In front of the next data frame (alone when none comes within 50 ms)."""


class Excess(StrEnum):
    """Who loses when an account has more connections than it may."""

    KILL_OLDEST = "kill-oldest"
    REJECT_NEWCOMER = "reject-newcomer"
    """After its subscriptions have been acknowledged."""


@dataclass(frozen=True)
class Account:
    """What the key's owner may do, and what the server does to those who do more."""

    refused_topics: frozenset[str] = ADD_ONS
    refused_calls: frozenset[str] = frozenset()
    """Paths of REST calls that answer 403; a path covers those below it."""
    max_connections: int = 1
    on_excess: Excess = Excess.KILL_OLDEST
    auth_timeout_s: float = 10.0
    acks: Acks = Acks.BATCHED
    max_buffer_bytes: int = 64 * 1024 * 1024
    """What is kept for a slow reader; it then pays with slow_consumer and a dropped connection."""


class Request(msgspec.Struct):
    """What a client says: one JSON object per frame."""

    action: str
    params: str = ""


class Subscriptions(dict[str, bool]):
    """``"T.AIG"`` -> whether the client wants it; an answer is kept until something changes."""

    def __init__(self) -> None:
        super().__init__()
        self._held: set[str] = set()

    def __missing__(self, topic: str) -> bool:
        prefix = topic.partition(".")[0]
        wanted = topic == WHOLE_FRAME or topic in self._held or f"{prefix}.*" in self._held
        # What is made up for a fault goes to whoever is there.
        self[topic] = wanted = wanted or prefix not in TOPICS
        return wanted

    @property
    def any(self) -> bool:
        """Whether anything is subscribed to."""
        return bool(self._held)

    def add(self, topic: str) -> bool:
        """Hold a topic; False when it was held already."""
        if topic in self._held:
            return False
        self._held.add(topic)
        self.clear()
        return True

    def remove(self, topic: str) -> bool:
        """Let go of a topic; False when it was not held."""
        if topic not in self._held:
            return False
        self._held.discard(topic)
        self.clear()
        return True

    def select(self, events: Slice) -> Slice:
        """The events among ``events`` that are subscribed to."""
        return [event for event in events if self[event[1]]]


def status(kind: str, message: str | None = None) -> str:
    """One status object as JSON."""
    text = STATUS[kind] if message is None else message
    return msgspec.json.encode({"ev": "status", "status": kind, "message": text}).decode()


class Connection(Line):
    """A client from greeting to close."""

    def __init__(self, socket: ServerConnection, account: Account, statistics: Statistics) -> None:
        super().__init__(socket, account.max_buffer_bytes, statistics)
        self._account = account
        self._pending_acks: list[str] = []
        self.subscriptions = Subscriptions()
        self.authenticated = False

    @property
    def listening(self) -> bool:
        """Whether events are to be sent to it."""
        return self.subscriptions.any and not self.closing

    @property
    def holds_a_place(self) -> bool:
        """Whether it counts against the account's limit of connections."""
        return self.authenticated and (self.muted or not self.closing)

    async def requests(self) -> AsyncIterator[Request | None]:
        """The client's requests until the connection ends; None for what is none."""
        async for frame in self._socket:
            try:
                yield msgspec.json.decode(frame, type=Request)
            except msgspec.DecodeError:
                yield None

    async def login(self) -> str | None:
        """Wait for the client's key; None when it left without one, TimeoutError when too slow.

        What comes before the key is counted as a bad request and not answered.
        """
        async with asyncio.timeout(self._account.auth_timeout_s):
            async for request in self.requests():
                if request is not None and request.action == "auth":
                    return request.params
                self._statistics.bad_requests += 1
        return None

    def handle(self, request: Request | None) -> None:
        """Act on one request after login."""
        action = request.action if request else ""
        act = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}.get(action)
        if act is None or request is None:
            self._statistics.bad_requests += 1
            return
        topics = [topic.strip() for topic in request.params.split(",")]
        self._acknowledge([ack for topic in topics if (ack := act(topic))])

    def send(self, events: Slice, max_frame_bytes: int) -> None:
        """Send events in frames of at most ``max_frame_bytes`` (a single event may be larger)."""
        if events[0][1] == WHOLE_FRAME:
            for _, _, text in events:
                self.put(text.encode("utf-8", "surrogateescape"))
            return
        texts = [text for _, _, text in events]
        if self._pending_acks:
            texts[:0] = self._pending_acks
            self._pending_acks.clear()
        for frame in frames(texts, max_frame_bytes):
            self.put(frame)

    def cut_off(self) -> None:
        """Say why, and end the connection of a reader too far behind."""
        self.say("slow_consumer")
        super().cut_off()

    def say(self, kind: str, message: str | None = None) -> None:
        """Send one status in a frame of its own."""
        self.outbox.put(f"[{status(kind, message)}]".encode())

    def kick(self, kind: str) -> None:
        """Send a status, then close with 1008, behind everything queued."""
        self.say(kind)
        self.close(1008)

    def _subscribe(self, topic: str) -> str | None:
        prefix, dot, ticker = topic.partition(".")
        if prefix not in TOPICS or not dot or not ticker:
            return None
        if prefix in self._account.refused_topics:
            return status("error")
        if not self.subscriptions.add(topic):
            return None
        return status("success", f"subscribed to: {topic}")

    def _unsubscribe(self, topic: str) -> str | None:
        if not self.subscriptions.remove(topic):
            return None
        return status("success", f"unsubscribed to: {topic}")

    def _acknowledge(self, acks: Sequence[str]) -> None:
        if not acks:
            return
        if self._account.acks is Acks.MIXED:
            self._pending_acks += acks
            asyncio.get_running_loop().call_later(0.05, self._flush_acks)
            return
        groups = [[ack] for ack in acks] if self._account.acks is Acks.SPLIT else [acks]
        for group in groups:
            self.outbox.put(f"[{','.join(group)}]".encode())

    def _flush_acks(self) -> None:
        if self._pending_acks:
            self.outbox.put(f"[{','.join(self._pending_acks)}]".encode())
            self._pending_acks.clear()


def frames(texts: list[str], max_bytes: int) -> list[bytes]:
    """JSON arrays of the texts, halved until each is within ``max_bytes`` or a single object."""
    whole = f"[{','.join(texts)}]".encode()
    if len(whole) <= max_bytes or len(texts) < 2:
        return [whole]
    half = len(texts) // 2
    return frames(texts[:half], max_bytes) + frames(texts[half:], max_bytes)
