"""A busy minute of NSE futures as three brokers send it: frames in memory, and its candles.

The market is ``peak.py``'s: each recorded trade becomes a trade of a few hundred contracts at
once, 1,000 in all, event time at wall speed from 09:15:59 in India. The simulators' own voices
write the frames, 50 instruments in each, in answer to what a real connection asks for. The
candles are computed here straight from the trades, sharing no code with the package.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from benchmarks.oracle import Values
from benchmarks.peak import Peak
from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import Tick
from tapewire.providers.broker import BrokerConnection
from tapewire.providers.dhan.clock import IST_OFFSET_S
from tapewire.providers.dhan.protocol import DhanConnection
from tapewire.providers.fyers.protocol import FyersConnection
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.broker_voice import Account, BrokerSide
from tapewire.simulators.dhan import DhanSide
from tapewire.simulators.fyers import FyersSide
from tapewire.simulators.fyers_files import make_token
from tapewire.simulators.upstox import UpstoxSide

DATE: Final = "2013-10-07"
START_MS: Final = round(
    datetime.fromisoformat(f"{DATE}T09:15:59").replace(tzinfo=ZoneInfo("Asia/Kolkata")).timestamp()
    * 1000
)
"""Event time begins here: a minute ends, and its candles close, within three seconds."""

BASELINE_MS: Final = START_MS - 30_000
FRAME_TICKS: Final = 50
FIRST_TOKEN: Final = 40_000
FIRST_VOLUME: Final = 1_000
TICK_SIZE: Final = 0.01
KEY: Final = "benchmark"


class TickMarket:
    """What the simulators ask of a market; everything in it was baseline when it began."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments: Mapping[str, Instrument] = {one.key: one for one in instruments}

    def last(self, key: str) -> Tick:
        """The state before the first trade."""
        return _tick(self.instruments[key], 100.0, 1, FIRST_VOLUME, BASELINE_MS)

    def previous_close(self, key: str) -> float:
        """The same for all."""
        return 100.0


def _tick(one: Instrument, price: float, size: int, volume: int, t: int) -> Tick:
    return Tick("", one.exchange, one.token, one.symbol, price, size, volume, 0, t, t * 1_000_000)


@dataclass(frozen=True)
class BrokerKind:
    """One broker in the benchmark; ``most_ticks`` of a run, so that its frames fit in memory."""

    name: str
    resolution_ms: int
    most_ticks: int
    broker_key: Callable[[str, str], str]
    connect: Callable[[], BrokerConnection]
    side: Callable[[TickMarket], BrokerSide]


def _upstox_side(market: TickMarket) -> BrokerSide:
    return UpstoxSide(
        market, Account(), ws_url=str, now_ms=lambda: START_MS, new_code=lambda: "code"
    )


def _fyers_side(market: TickMarket) -> BrokerSide:
    account = Account(token=make_token(KEY, START_MS / 1000 + 86_400))
    return FyersSide(market, account, now_s=lambda: START_MS / 1000)


def _dhan_side(market: TickMarket) -> BrokerSide:
    return DhanSide(market, Account(), now_s=lambda: START_MS / 1000)


KINDS: Final = (
    BrokerKind(
        "upstox",
        1,
        500_000,
        lambda token, _: f"NSE_FO|{token}",
        lambda: UpstoxConnection(lambda: "guid", now_s=0.0),
        _upstox_side,
    ),
    BrokerKind(
        "fyers",
        1_000,
        1_200_000,
        lambda token, symbol: f"NSE:{symbol}",
        lambda: FyersConnection(KEY, 0.0),
        _fyers_side,
    ),
    BrokerKind(
        "dhan",
        1_000,
        1_200_000,
        lambda token, _: f"NSE_FNO|{token}",
        lambda: DhanConnection(0.0, clock_offset_s=IST_OFFSET_S),
        _dhan_side,
    ),
)


@dataclass
class BrokerTape:
    """Frames of one connection with when they were received, and what they have to come to."""

    kind: BrokerKind
    instruments: list[Instrument]
    events_per_second: float
    frames: list[tuple[bytes | str, int]] = field(default_factory=list)
    handshake: int = 0
    """The first so many frames answer requests."""
    ticks: int = 0
    candles: dict[str, dict[int, Values]] = field(default_factory=dict)

    def connection(self) -> BrokerConnection:
        """A new connection that has asked for everything."""
        connection = self.kind.connect()
        connection.subscribe(self.instruments)
        connection.opened(0.0)
        return connection


def tape(kind: BrokerKind, peak: Peak, part: int = 0, parts: int = 1) -> BrokerTape:
    """The frames of a broker's connection; of every ``parts``-th instrument, from ``part`` on."""
    names = sorted({one.trade["sym"] for one in peak.originals})
    clones = {
        name: [
            _instrument(kind, FIRST_TOKEN + n * peak.clones + k)
            for k in range(part, peak.clones, parts)
        ]
        for n, name in enumerate(names)
    }
    every = [one for some in clones.values() for one in some]
    made = BrokerTape(kind, every, peak.events_per_second)
    _write(made, peak, clones)
    made.candles = {
        one.key: rows for name, rows in _candles(kind, peak).items() for one in clones[name]
    }
    return made


def _instrument(kind: BrokerKind, number: int) -> Instrument:
    token, symbol = str(number), f"F{number}26NOVFUT"
    return Instrument(
        exchange="NSE_FO",
        token=token,
        symbol=symbol,
        kind=InstrumentKind.FUTURE,
        expiry="2026-11-24",
        tick_size=TICK_SIZE,
        broker_key=kind.broker_key(token, symbol),
    )


def _write(made: BrokerTape, peak: Peak, clones: Mapping[str, list[Instrument]]) -> None:
    """Let the broker's voice answer a connection, and then tell every trade."""
    voice = made.kind.side(TickMarket(made.instruments)).voice()
    connection = made.connection()

    def hear(messages: Sequence[bytes | str], at_ms: int) -> None:
        waiting = list(messages)
        while waiting:
            frame = waiting.pop(0)
            made.frames.append((frame, at_ms * 1_000_000))
            made.ticks += len(connection.receive(frame, at_ms * 1_000_000, 0.0))
            for request in connection.data_to_send():
                waiting += voice.receive(request)

    hear(voice.opened(), BASELINE_MS)
    for n in range(10):  # requests may be paced
        connection.due(float(n))
        for request in connection.data_to_send():
            hear(voice.receive(request), BASELINE_MS)
    made.handshake = len(made.frames)
    for ticks in _grouped(_told(peak, clones)):
        hear(voice.ticks(ticks), ticks[0].timestamp_ms)


def _grouped(ticks: Iterator[Tick]) -> Iterator[list[Tick]]:
    while some := list(islice(ticks, FRAME_TICKS)):
        yield some


def _told(peak: Peak, clones: Mapping[str, list[Instrument]]) -> Iterator[Tick]:
    """Every trade of every contract as the state that a broker tells."""
    volumes = dict.fromkeys(clones, FIRST_VOLUME)
    for name, t, price, size in trades(peak):
        volumes[name] += size
        for one in clones[name]:
            yield _tick(one, price, size, volumes[name], t)


def trades(peak: Peak) -> Iterator[tuple[str, int, float, int]]:
    """Name, time, price on the grid and whole size of the trades, on the Indian clock."""
    first = peak.originals[0].trade["t"]
    for one in peak.originals:
        trade: Mapping[str, Any] = one.trade
        price = max(1, round(trade["p"] * 100)) / 100
        yield trade["sym"], START_MS + trade["t"] - first, price, max(1, int(trade["s"]))


def _candles(kind: BrokerKind, peak: Peak) -> dict[str, dict[int, Values]]:
    """One-minute candles from the trades, by name and start."""
    minutes: dict[str, dict[int, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for name, t, price, size in trades(peak):
        seen_ms = t // kind.resolution_ms * kind.resolution_ms
        minutes[name][seen_ms // 60_000 * 60_000].append((price, size))
    return {
        name: {start_ms: _candle(start_ms, inside) for start_ms, inside in starts.items()}
        for name, starts in minutes.items()
    }


def _candle(start_ms: int, inside: Sequence[tuple[float, int]]) -> Values:
    prices, volume = [price for price, _ in inside], sum(size for _, size in inside)
    value = sum(round(price * 100) * size for price, size in inside)
    return {
        "start_ms": start_ms,
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": volume,
        "vwap": float(Fraction(value, 100 * volume)),
        "trades": len(inside),
        "closed": True,
        "gap": False,
    }
