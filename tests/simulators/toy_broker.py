"""A broker without a protocol worth the name: words in, lines of ``key price`` out.

What the server of the broker simulators does beside any broker's format is tested with it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tapewire.model.events import Tick
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import HttpAnswer, HttpCall, Market, Messages


class ToyVoice:
    """Every message subscribes to the keys in it; ``bye`` is answered with a close code."""

    def __init__(self, side: "ToySide") -> None:
        self.close_code: int | None = None
        self.wanted: set[str] = set()
        self._side = side
        self._last_words: Messages = []

    @property
    def listening(self) -> bool:
        return bool(self.wanted)

    def opened(self) -> Messages:
        oldest, self._side.voices = self._side.voices, [*self._side.voices, self]
        if len(oldest) >= self._side.most:
            oldest[0].end(805)
        return ["hello"]

    def receive(self, message: bytes | str) -> Messages:
        if message == "bye":
            self.close_code = 4000
            return []
        self.wanted |= set(str(message).split())
        lasts = [self._side.market.last(key) for key in sorted(self.wanted)]
        return [f"last {tick.last_price}" for tick in lasts if tick is not None]

    def ticks(self, ticks: Sequence[Tick]) -> Messages:
        said, self._last_words = self._last_words, []
        lines = [
            f"{tick.exchange}:{tick.token} {tick.last_price} {tick.day_volume}"
            for tick in ticks
            if f"{tick.exchange}:{tick.token}" in self.wanted
        ]
        return [*said, "\n".join(lines).encode()] if lines else said

    def disconnect(self, reason: int) -> Messages:
        self.close_code = 1000
        return [f"disconnect {reason}"]

    def closed(self) -> None:
        self._side.voices.remove(self)

    def end(self, reason: int) -> None:
        self._last_words = self.disconnect(reason)


class ToySide:
    """Token ``key``; at most ``most`` connections, the oldest of which must go."""

    name = "toy"
    ping_every_s: float | None = None

    def __init__(self, market: Market, most: int = 5) -> None:
        self.market = market
        self.most = most
        self.voices: list[ToyVoice] = []

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        if path != "/feed":
            return HttpAnswer(404, b"no such path", "text/plain")
        wrong = HttpAnswer(401, b"wrong token", "text/plain", {"X-Reason": "token"})
        return HttpAnswer(101) if query.get("token") == "key" else wrong

    def voice(self) -> ToyVoice:
        return ToyVoice(self)

    def routes(self) -> Mapping[tuple[str, str], Callable[[HttpCall], Awaitable[HttpAnswer]]]:
        async def names(call: HttpCall) -> HttpAnswer:
            body = ",".join(self.market.instruments).encode()
            return HttpAnswer(200, body + call.body, "text/csv", {"X-Token": call.query["token"]})

        return {("POST", "/names"): names}


class Reader:
    """What one client was told: texts, and the lines of data frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[bytes] = []
        self.texts: list[str] = []

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for frame in self.frames for line in frame.decode().splitlines()]

    async def next(self) -> str | bytes:
        message = await self.socket.recv()
        if isinstance(message, bytes):
            self.frames.append(message)
        else:
            self.texts.append(message)
        return message

    async def until_closed(self) -> ConnectionClosed:
        while True:
            try:
                await self.next()
            except ConnectionClosed as ended:
                return ended


@asynccontextmanager
async def running(simulator: BrokerSimulator) -> AsyncIterator[BrokerSimulator]:
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def subscribed(simulator: BrokerSimulator, *keys: str) -> AsyncIterator[Reader]:
    """A client that has heard the greeting and asked for these instruments."""
    url = f"{simulator.ws_url}/feed?token=key"
    async with connect(url, compression=None, close_timeout=0.2) as socket:
        reader = Reader(socket)
        assert await reader.next() == "hello"
        if keys:
            await socket.send(" ".join(keys))
        yield reader
