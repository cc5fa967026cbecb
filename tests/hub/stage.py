"""A hub without sockets: shards that flush, clients that apply what they get."""

import json
from collections.abc import Iterable
from typing import Any

from msgspec import structs

from tapewire.caches.cache import Followed, Place
from tapewire.hub.hub import Hub
from tapewire.hub.protocol import Reaction, receive
from tapewire.hub.session import Bounds, Session
from tapewire.model.candle_names import SLOT_MS, CandleHash, candle_field, candle_hash
from tapewire.model.changes import BoardChange, Published
from tapewire.model.events import Gap
from tapewire.model.feeds import board_set, quote_hash
from tapewire.model.markets import market_of_shard
from tapewire.model.messages import SUBPROTOCOL
from tapewire.model.packed_candles import decode_seconds, encode_candle, encode_packed
from tapewire.model.rows import Candle, QuoteRecord, encode_row

FRIDAY, MONDAY = "2026-11-20", "2026-11-23"
SHARD = "trades.0"
EPOCH = "hub-1"


def quote(symbol: str, close: float | None, **known: object) -> QuoteRecord:
    """A quote record of which only some fields are known."""
    fields: dict[str, object] = dict.fromkeys(
        one.name for one in structs.fields(QuoteRecord) if one.required
    )
    fields |= {"symbol": symbol, "close": close, "volume": 0, "accumulated_volume": 0}
    fields |= {"start_timestamp": 0, "end_timestamp": 1, "session": "regular", "gap": False}
    return QuoteRecord(**{**fields, **known})  # type: ignore[arg-type]


def candle(start_ms: int, close: float) -> Candle:
    """An open candle of one trade."""
    return Candle(start_ms, close, close, close, close, 100, close, 1, False, 0, False)


def candles_of(symbol: str) -> CandleHash:
    """The name of a symbol's minute candles on Friday."""
    return CandleHash.of("US", symbol, "1m", FRIDAY)


def packed_candles(*candles: Candle) -> dict[str, bytes]:
    """Friday's candles by field."""
    return {candle_field(FRIDAY, one.start_ms): encode_candle(one) for one in candles}


def packed_seconds(one: Candle) -> dict[str, bytes]:
    """A one-second candle by its slot."""
    slot = one.start_ms // SLOT_MS * SLOT_MS
    [second] = decode_seconds(b"\x91" + encode_candle(one))
    second.second = (one.start_ms - slot) // 1000
    return {str(slot): encode_packed([second])}


class Stage:
    """One hub; time passes by ticks of 10 ms."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.hub = Hub(EPOCH, bounds)
        self.hub.market.open()
        self.hub.tick(0)
        self.now_ms = 1_000
        self.flushes = 0
        self.clients: dict[Session, Client] = {}

    def flush(
        self,
        *,
        quotes: Iterable[QuoteRecord] = (),
        boards: dict[str, dict[str, float | None]] | None = None,
        candles: dict[str, list[Candle]] | None = None,
        removed: Iterable[str] = (),
        gaps: Iterable[Gap] = (),
        date: str = FRIDAY,
        shard: str = SHARD,
    ) -> Place:
        """A shard's flush: quote records, board scores (None takes off), candles by symbol."""
        exchange = market_of_shard(shard).exchange
        rows = {quote_hash(date): {one.symbol: encode_row(one) for one in quotes}}
        for symbol, some in (candles or {}).items():
            for one in some:
                name = candle_hash(exchange, symbol, "1m", date, one.start_ms)
                rows.setdefault(name, {})[candle_field(date, one.start_ms)] = encode_candle(one)
        changes = Published(
            {name: found for name, found in rows.items() if found},
            {quote_hash(date): list(removed)} if removed else {},
            {board_set(name, date): board(scores) for name, scores in (boards or {}).items()},
            {},
            list(gaps),
        )
        self.flushes += 1
        place = Place(1, self.flushes)
        self.hub.market.take([Followed(shard, place, changes)])
        return place

    def tick(self, times: int = 1) -> None:
        """Let time pass; clients get what they are sent."""
        for _ in range(times):
            self.now_ms += 10
            for delivery in self.hub.tick(self.now_ms):
                for session in delivery.sessions:
                    client = self.clients[session]
                    assert session.ready, "a client without room was sent something"
                    for text in delivery.texts:
                        client.get(text)

    def second(self) -> None:
        """Let a second pass: every rate has sent what it has."""
        self.tick(100)

    def connect(self, dialect: str = SUBPROTOCOL) -> "Client":
        """A new client."""
        session = self.hub.connect(dialect, self.now_ms)
        client = self.clients[session] = Client(self, session)
        return client


def board(scores: dict[str, float | None]) -> BoardChange:
    """Scores to put; None takes a symbol off."""
    put = {symbol: score for symbol, score in scores.items() if score is not None}
    return BoardChange(put, [symbol for symbol, score in scores.items() if score is None])


class Held:
    """What a client knows of one feed."""

    def __init__(self) -> None:
        self.rows: dict[Any, dict[str, Any]] = {}
        self.order: list[Any] = []
        self.seq = -1
        self.status: dict[str, Any] = {}

    def take(self, message: dict[str, Any]) -> None:
        """Apply a snapshot, a delta or a status as docs/wire-protocol.md says."""
        if message["op"] == "status":
            self.status = message
            return
        if message["op"] == "snapshot":
            if message.get("part", 1) == 1:
                self.rows, self.order = {}, []
            if message["key"]:  # items of event feeds have none
                self.rows |= {row[message["key"]]: row for row in message["rows"]}
                self.order += [row[message["key"]] for row in message["rows"]]
        else:
            assert message["prev"] == self.seq, "a delta does not follow the message before it"
            self._change(message)
        self.seq = message["seq"]

    def _change(self, delta: dict[str, Any]) -> None:
        for key in delta.get("del", ()):
            self.rows.pop(key, None)
        for row in delta.get("set", ()):
            key = next(iter(row.values()))
            self.rows.setdefault(key, {}).update(row)
        if delta.get("order") is not None:
            self.order = delta["order"]

    def ranked(self) -> list[dict[str, Any]]:
        """A board's rows by rank."""
        return [self.rows[key] for key in self.order]


class Client:
    """A client of either dialect; keeps what it got and applies it."""

    def __init__(self, stage: Stage, session: Session) -> None:
        self.stage = stage
        self.session = session
        self.frames: list[bytes] = []
        self.messages: list[Any] = []
        self.feeds: dict[str, Held] = {}

    def say(self, message: object) -> Reaction:
        """Send a message (bytes as they are, anything else as JSON) and take the answers."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        reaction = receive(
            self.stage.hub, self.session, data, is_text=True, now_ms=self.stage.now_ms
        )
        for text in reaction.texts:
            self.get(text)
        return reaction

    def subscribe(self, *feeds: str, **options: object) -> None:
        """Subscribe in tapewire.v1."""
        self.say({"op": "subscribe", "feeds": list(feeds), **options})

    def get(self, text: bytes) -> None:
        """A frame came."""
        self.frames.append(text)
        decoded = json.loads(text)
        if self.session.dialect != SUBPROTOCOL:
            self.messages.append(decoded)
            return
        for message in decoded:
            self.messages.append(message)
            if "feed" in message and message["op"] not in ("event", "gap"):
                self.feeds.setdefault(message["feed"], Held()).take(message)

    def taken(self, *ops: str) -> list[Any]:
        """The messages since the last call, of these ops only if any are named."""
        found, self.messages = self.messages, []
        return [one for one in found if not ops or one["op"] in ops]

    def ask(self, feed: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows of a fresh ``get``, in order."""
        other = self.stage.connect()
        other.say({"op": "get", "feed": feed} | ({"limit": limit} if limit else {}))
        return [row for answer in other.taken("snapshot") for row in answer["rows"]]
