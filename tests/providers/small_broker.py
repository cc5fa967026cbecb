"""A broker as small as one can be: JSON both ways, over real sockets.

`SmallBroker` and `SmallConnection` are what the feed sees; `Exchange` is the server's side, whose
every move a test decides.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Address, BrokerError, Ending, fingerprint
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken

MASTER = [
    Instrument(exchange="NSE_EQ", token="2885", symbol="RELIANCE", broker_key="r"),
    Instrument(exchange="NSE_EQ", token="1594", symbol="INFY", broker_key="i"),
    Instrument(exchange="NSE_FO", token="2885", symbol="NIFTY26NOVFUT", broker_key="n"),
]
KEYS = [one.key for one in MASTER]

ENDINGS = {
    "fatal": Ending("fatal", Fatal("buy the data plan")),
    "expired": Ending("expired", RefreshToken("provide a new token")),
    "busy": Ending("busy", BackOff(0.0)),
}


class SmallConnection:
    """Frames are ``[[key, price, volume, ms, snapshot], ...]``, ``"in"``, or a key of ENDINGS."""

    def __init__(self, name: str, token: str, now_s: float, silent_s: float, limit: int) -> None:
        self.faults: Counter[str] = Counter()
        self.ending: Ending | None = None
        self.authenticated = False
        self.lived_s = now_s
        self._name = name
        self._token = token
        self._silent_s = silent_s
        self._limit = limit
        self._held: dict[str, Instrument] = {}
        self._seen: set[str] = set()
        self._learned: list[Reference] = []
        self._open = False
        self._out: list[bytes | str] = []

    @property
    def proved(self) -> int:
        return len(self._seen)

    def opened(self, now_s: float) -> None:
        self._open = True
        self._out.append(f"token {self._token}")
        self._say("sub", list(self._held.values()))

    def _say(self, verb: str, instruments: Sequence[Instrument]) -> None:
        if self._open and instruments:
            self._out.append(" ".join([verb, *(one.broker_key for one in instruments)]).encode())

    def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if len(self._held) + len(instruments) > self._limit:
            raise ValueError(f"{len(self._held) + len(instruments)} asked, limit {self._limit}")
        self._held |= {one.broker_key: one for one in instruments}
        self._say("sub", instruments)

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for one in instruments:
            self._held.pop(one.broker_key, None)
        self._say("unsub", instruments)

    def data_to_send(self) -> list[bytes | str]:
        out, self._out = self._out, []
        return out

    def receive(self, frame: bytes | str, received_ns: int, now_s: float) -> list[Tick]:
        self.lived_s = now_s
        if isinstance(frame, str):
            self.authenticated = self.authenticated or frame == "in"
            self.ending = ENDINGS.get(frame)
            return []
        try:
            rows = msgspec.json.decode(frame)
        except msgspec.DecodeError:
            self.faults["unreadable"] += 1
            return []
        return [self._tick(row, received_ns) for row in rows if row[0] in self._held]

    def _tick(self, row: list[object], received_ns: int) -> Tick:
        key, price, volume, at_ms, snapshot = row
        one = self._held[str(key)]
        if one.broker_key not in self._seen:
            self._seen.add(one.broker_key)
            self._learned.append(Reference(one.key, "", prev_day_close=100.0))
        flags = TICK_SNAPSHOT if snapshot else 0
        return msgspec.convert(
            (
                self._name,
                one.exchange,
                one.token,
                one.symbol,
                price,
                0,
                volume,
                None,
                at_ms,
                received_ns,
                flags,
            ),
            _Row,
        ).tick()

    def heard(self, now_s: float) -> None:
        self.lived_s = now_s

    def due(self, now_s: float) -> None:
        if now_s - self.lived_s > self._silent_s:
            self.ending = Ending("silent", BackOff(0.0))

    def close(self) -> None:
        self._out.append("bye")

    def references(self) -> Sequence[Reference]:
        learned, self._learned = self._learned, []
        return learned

    def status(self) -> Mapping[str, object]:
        return {"held": len(self._held)}


class _Row(msgspec.Struct, array_like=True):
    broker: str
    exchange: str
    token: str
    symbol: str
    price: float
    size: int
    volume: int | None
    interest: int | None
    at_ms: int
    received_ns: int
    flags: int

    def tick(self) -> Tick:
        return Tick(*msgspec.structs.astuple(self))


class SmallBroker:
    """An account at the small broker; ``tokens`` are what reading it again gives, the last kept."""

    def __init__(
        self,
        url: str,
        *tokens: str,
        name: str = "small",
        master: Sequence[Instrument] = MASTER,
        silent_s: float = 5.0,
        limit: int = 100,
    ) -> None:
        self.url = url
        self.name = name
        self.master = master
        self.tokens = list(tokens or ("good",))
        self.authorized = 0
        self.refusal: Ending | None = None
        self._token = ""
        self._silent_s = silent_s
        self._limit = limit
        self.closed = False

    async def instruments(self) -> Sequence[Instrument]:
        return self.master

    async def authorize(self) -> Address:
        self.authorized += 1
        self._token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if self.refusal is not None:
            raise BrokerError(self.refusal)
        return Address(self.url, {"x-token": self._token})

    def credential(self) -> str:
        return fingerprint(self._token)

    def connection(self, now_s: float) -> SmallConnection:
        return SmallConnection(self.name, self._token, now_s, self._silent_s, self._limit)

    def refused(self, http_status: int) -> Ending:
        return ENDINGS["expired"] if http_status == 401 else Ending("refused", BackOff(0.0))

    async def close(self) -> None:
        self.closed = True


class Visit:
    """One client's connection, from the broker's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.token = ""
        self.asked: list[str] = []

    async def admit(self) -> None:
        """Take the token and the first subscription."""
        self.token = str(await self.socket.recv()).removeprefix("token ")
        await self.socket.send("in")
        self.asked = bytes(await self.socket.recv(decode=False)).decode().split()[1:]

    async def say(
        self, *rows: tuple[str, float, int, int] | tuple[str, float, int, int, int]
    ) -> None:
        await self.socket.send(msgspec.json.encode([[*row, 0][:5] for row in rows]))

    async def linger(self) -> None:
        """Say nothing more until the client leaves."""
        await self.socket.wait_closed()

    def drop(self) -> None:
        """End without a close frame."""
        self.socket.transport.abort()


Scene = Callable[[Visit], Awaitable[None]]


class Exchange:
    """Plays one scene per connection, the last one again and again."""

    def __init__(self, *scenes: Scene, refusals: Sequence[HTTPStatus] = ()) -> None:
        self.scenes = scenes
        self._refusals = list(refusals)
        self.visits: list[Visit] = []
        self.url = ""

    async def attend(self, socket: ServerConnection) -> None:
        visit = Visit(socket)
        scene = self.scenes[min(len(self.visits), len(self.scenes) - 1)]
        self.visits.append(visit)
        try:
            await scene(visit)
        except ConnectionClosed:
            return  # the client left in the middle of the scene

    def upgrade(self, socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(self._refusals.pop(0), "no\n") if self._refusals else None


@asynccontextmanager
async def opened(exchange: Exchange, ping_interval: float | None = None) -> AsyncIterator[Exchange]:
    async with serve(
        exchange.attend,
        "127.0.0.1",
        0,
        process_request=exchange.upgrade,
        compression=None,
        ping_interval=ping_interval,
        close_timeout=0.2,
    ) as server:
        exchange.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/feed"
        yield exchange


async def until(happened: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for something that nobody signals; TimeoutError when it does not happen."""
    for _ in range(int(within_s / 0.005)):
        if happened():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError(f"it did not happen within {within_s} s")
