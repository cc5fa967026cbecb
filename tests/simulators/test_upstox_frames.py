"""What the simulator writes as Upstox is what the protocol reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.providers.upstox.messages import MARKET_STATUS, FrameKind, Mode, split_key
from tapewire.providers.upstox.wire import FeedDecoder, varint
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
TOKEN = st.text("ABCXYZ0123456789 ", min_size=1, max_size=30).filter(lambda text: text.strip())
KEY = st.builds("{}|{}".format, st.sampled_from(["NSE_EQ", "NSE_FO", "NSE_INDEX"]), TOKEN)
KIND = st.sampled_from([FrameKind.INITIAL_FEED, FrameKind.LIVE_FEED])


def said(last: Last | None) -> tuple[object, ...]:
    """The four fields of an update that ``last`` becomes."""
    if last is None:
        return (None, 0, 0, None)
    return (last.price or None, last.size, last.trade_ms, last.close or None)


def read(key: str, feed: bytes, kind: FrameKind = FrameKind.LIVE_FEED) -> dict[str, object]:
    """The one update of a frame as a dictionary, beside its last trade under ``last``."""
    decoded = FeedDecoder().decode(feed_frame(kind, [(key, feed)], 1_792_000_000_000))
    (update,) = decoded.updates
    assert not decoded.skipped
    assert decoded.time_ms == 1_792_000_000_000
    assert update.instrument == split_key(key)
    return {
        "last": (update.last_price, update.last_size, update.last_trade_ms, update.close),
        "totals": (update.day_volume, update.open_interest),
        "best": (update.bid_size, update.bid, update.ask_size, update.ask),
        "snapshot": update.snapshot,
        "index": update.index,
    }


@given(KEY, LAST, KIND)
def test_last_trades(key: str, last: Last, kind: FrameKind) -> None:
    update = read(key, ltpc_feed(last), kind)
    assert update["last"] == said(last)
    assert update["totals"] == (None, None)
    assert update["snapshot"] is (kind == FrameKind.INITIAL_FEED)


@given(
    KEY, st.none() | LAST, TOTALS, st.lists(LEVEL, max_size=30), GREEKS, CANDLES,
    st.sampled_from([Mode.FULL, Mode.FULL_D30]),
)  # fmt: skip
def test_full_feeds(
    key: str,
    last: Last | None,
    totals: Totals,
    depth: list[Level],
    greeks: list[float],
    candles: list[Candle],
    mode: Mode,
) -> None:
    update = read(key, full_feed(last, totals, depth, greeks, candles, mode))
    assert update["last"] == said(last)
    assert update["totals"] == (totals.volume, totals.open_interest)
    assert update["best"] == (tuple(depth[0]) if depth else (None,) * 4)
    assert not update["index"]


@given(KEY, st.none() | LAST, TOTALS, st.none() | LEVEL, GREEKS)
def test_option_greeks(
    key: str, last: Last | None, totals: Totals, best: Level | None, greeks: list[float]
) -> None:
    update = read(key, greeks_feed(last, totals, best, greeks))
    assert update["last"] == said(last)
    assert update["totals"] == (totals.volume, totals.open_interest)
    assert update["best"] == (tuple(best) if best else (None,) * 4)


@given(KEY, LAST, CANDLES)
def test_indices(key: str, last: Last, candles: list[Candle]) -> None:
    update = read(key, index_feed(last, candles))
    assert update["last"] == said(last)
    assert update["index"]
    assert update["totals"] == (None, None)


@given(st.lists(st.tuples(KEY, LAST.map(ltpc_feed)), max_size=60))
def test_every_entry_of_a_frame_comes_in_order(feeds: list[tuple[str, bytes]]) -> None:
    decoded = FeedDecoder().decode(feed_frame(FrameKind.LIVE_FEED, feeds, 1))
    assert [update.instrument.key for update in decoded.updates] == [key for key, _ in feeds]


@given(st.dictionaries(st.text("NSEBFO_", min_size=1), st.sampled_from(MARKET_STATUS)))
def test_market_status(markets: dict[str, str]) -> None:
    decoded = FeedDecoder().decode(market_frame(markets, 1_792_000_000_000))
    assert (decoded.kind, decoded.markets) == (FrameKind.MARKET_INFO, markets)
    assert not decoded.skipped


def test_a_status_that_is_not_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['OPEN'\]: expected one of PRE_OPEN_START"):
        market_frame({"NSE_EQ": "OPEN"}, 1)


@given(INT64)
def test_varints(value: int) -> None:
    encoded = varint_bytes(value)
    assert varint(encoded, 0) == (value, len(encoded))
