"""What the simulator writes as Upstox is what the protocol reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.providers.upstox.messages import MARKET_STATUS, FrameKind, Mode
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.upstox_frames import (
    Candle,
    Last,
    Level,
    Totals,
    feed_frame,
    full_feed,
    greeks_feed,
    index_feed,
    ltpc_feed,
    market_frame,
    varint_bytes,
)

SERVER_MS = 1_792_000_000_000
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
SIZE = st.one_of(st.integers(0, 300), st.integers(0, 1 << 40), INT64)
TIME = st.one_of(st.integers(1_600_000_000_000, 2_000_000_000_000), INT64)
PRICE = st.one_of(
    st.floats(0, 1e6), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300)
)
LAST = st.builds(Last, PRICE, TIME, SIZE, PRICE)
LEVEL = st.builds(Level, SIZE, PRICE, SIZE, PRICE)
TOTALS = st.builds(Totals, SIZE, st.integers(0, 1 << 50).map(float), PRICE, PRICE, PRICE, PRICE)
GREEKS = st.lists(PRICE, max_size=5)
CANDLES = st.lists(
    st.builds(Candle, st.sampled_from(["1d", "I1"]), PRICE, PRICE, PRICE, PRICE, SIZE, TIME),
    max_size=2,
)
KEY = st.builds(
    "{}|{}".format,
    st.sampled_from(["NSE_EQ", "NSE_FO"]),
    st.text("ABCXYZ0123456789 ", min_size=1, max_size=30),
)
INDEX_KEY = st.builds("NSE_INDEX|{}".format, st.text("ABCXYZ0123456789 ", min_size=1))
KIND = st.sampled_from([FrameKind.INITIAL_FEED, FrameKind.LIVE_FEED])
MODE = st.sampled_from([Mode.FULL, Mode.FULL_D30])


def instrument(key: str) -> Instrument:
    """An instrument whose token is its whole key."""
    index = key.startswith("NSE_INDEX")
    kind = InstrumentKind.INDEX if index else InstrumentKind.EQUITY
    return Instrument(
        exchange="NSE_FO", token=key, symbol=f"name of {key}", kind=kind, broker_key=key
    )


def read(
    feeds: list[tuple[str, bytes]], kind: FrameKind = FrameKind.LIVE_FEED
) -> tuple[list[Tick], UpstoxConnection]:
    """The ticks of a frame to whose instruments a connection has subscribed."""
    socket = UpstoxConnection(lambda: "g", now_s=1.0)
    socket.subscribe([instrument(key) for key, _ in feeds])
    ticks = socket.receive(feed_frame(kind, feeds, SERVER_MS), 7, 2.0)
    assert socket.status()["server_ms"] == SERVER_MS
    return ticks, socket


def check(
    key: str,
    feed: bytes,
    last: Last | None,
    totals: tuple[int | None, int | None] = (None, None),
    kind: FrameKind = FrameKind.LIVE_FEED,
    flags: int = 0,
) -> None:
    """Read one feed and compare the tick with what the feed was written from."""
    ticks, socket = read([(key, feed)], kind)
    assert socket.proved == 1
    close = last.close if last is not None and last.close > 0 else None
    assert [each.prev_day_close for each in socket.references()] == [close]
    if last is None or not last.price:
        assert (ticks, socket.faults) == ([], {"no_price": 1})
        return
    assert not socket.faults
    volume, interest = totals
    expected = Tick(
        broker="upstox",
        exchange="NSE_FO",
        token=key,
        symbol=f"name of {key}",
        last_price=last.price,
        last_size=last.size,
        day_volume=volume,
        open_interest=interest,
        timestamp_ms=last.trade_ms,
        received_ns=7,
        flags=flags | (TICK_SNAPSHOT if kind == FrameKind.INITIAL_FEED else 0),
    )
    assert ticks == [expected]


@given(KEY, LAST, KIND)
def test_last_trades(key: str, last: Last, kind: FrameKind) -> None:
    check(key, ltpc_feed(last), last, kind=kind)


@given(KEY, st.none() | LAST, TOTALS, st.lists(LEVEL, max_size=30), GREEKS, CANDLES, MODE, KIND)
def test_full_feeds(
    key: str,
    last: Last | None,
    totals: Totals,
    depth: list[Level],
    greeks: list[float],
    candles: list[Candle],
    mode: Mode,
    kind: FrameKind,
) -> None:
    feed = full_feed(last, totals, depth, greeks, candles, mode)
    check(key, feed, last, (totals.volume, int(totals.open_interest)), kind)


@given(KEY, st.none() | LAST, TOTALS, st.none() | LEVEL, GREEKS, KIND)
def test_option_greeks(
    key: str,
    last: Last | None,
    totals: Totals,
    best: Level | None,
    greeks: list[float],
    kind: FrameKind,
) -> None:
    feed = greeks_feed(last, totals, best, greeks)
    check(key, feed, last, (totals.volume, int(totals.open_interest)), kind)


@given(INDEX_KEY, LAST, CANDLES, KIND, st.booleans())
def test_indices(key: str, last: Last, candles: list[Candle], kind: FrameKind, full: bool) -> None:
    feed = index_feed(last, candles) if full else ltpc_feed(last)
    check(key, feed, last, kind=kind, flags=TICK_INDEX)


@given(st.dictionaries(KEY, LAST.filter(lambda last: last.price != 0), max_size=60))
def test_every_entry_of_a_frame_comes_in_order(feeds: dict[str, Last]) -> None:
    ticks, socket = read([(key, ltpc_feed(last)) for key, last in feeds.items()])
    assert [(tick.token, tick.last_price) for tick in ticks] == [
        (key, last.price) for key, last in feeds.items()
    ]
    assert socket.proved == len(feeds)


@given(st.dictionaries(st.text("NSEBFO_", min_size=1), st.sampled_from(MARKET_STATUS)))
def test_market_status(markets: dict[str, str]) -> None:
    socket = UpstoxConnection(lambda: "g", now_s=1.0)
    assert socket.receive(market_frame(markets, SERVER_MS), 7, 2.0) == []
    assert socket.status()["markets"] == markets
    assert not socket.faults


def test_a_status_that_is_not_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['OPEN'\]: expected one of PRE_OPEN_START"):
        market_frame({"NSE_EQ": "OPEN"}, 1)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (1_234_567, "87ad4b"),
        (1 << 28, "8080808001"),
        (1_792_000_000_000, "808098dc9334"),
        ((1 << 63) - 1, "ffffffffffffffff7f"),
        (-1, "ffffffffffffffffff01"),
        (-(1 << 63), "80808080808080808001"),
    ],
)
def test_varints(value: int, encoded: str) -> None:
    assert varint_bytes(value).hex() == encoded
