"""Only what the feed table has can be named."""

import pytest

from tapewire.hub.feeds import UnknownFeedError, parse_feed
from tapewire.model import feeds
from tapewire.model.feeds import Feed, Kind
from tapewire.model.markets import INDIA, US, Market
from tapewire.model.rows import DailyRange


@pytest.mark.parametrize(
    ("name", "family", "interval", "symbol"),
    [
        ("scanners:top_gainers", "top_gainers", "", ""),
        ("quote:AIG", "quote", "", "AIG"),
        ("quote:*", "quote", "", "*"),
        ("quote:BRK.B", "quote", "", "BRK.B"),
        ("candles:1m:AIG", "candles", "1m", "AIG"),
        ("candles:*:AIG", "candles", "*", "AIG"),
        ("candles:1m:O:SPY261218C00600000", "candles", "1m", "O:SPY261218C00600000"),
        ("candles:15m:AIG", "candles", "15m", "AIG"),
        ("candles:1m:NSE_FO:8765", "candles", "1m", "NSE_FO:8765"),
        ("candles:*:NSE_FO:8765", "candles", "*", "NSE_FO:8765"),
        ("candles:1d:NSE_INDEX:Nifty_50", "candles", "1d", "NSE_INDEX:Nifty_50"),
        ("quote:NSE_EQ:2885", "quote", "", "NSE_EQ:2885"),
        ("trades:NSE_EQ:2885", "trades", "", "NSE_EQ:2885"),
        ("scanners:in:top_gainers", "top_gainers", "", ""),
        ("top_trades:in:5m:value", "top_trades", "", ""),
        ("daily_range:AIG", "daily_range", "", "AIG"),
        ("halt_state:*", "halt_state", "", "*"),
        ("halts", "halts", "", ""),
        ("trades:*", "trades", "", "*"),
        ("raw:trades", "raw", "", ""),
        ("top_trades:5m:value", "top_trades", "", ""),
        ("system:status", "status", "", ""),
    ],
)
def test_a_feed_is_read(name: str, family: str, interval: str, symbol: str) -> None:
    target = parse_feed(name)
    assert (target.feed.family, target.interval, target.symbol) == (family, interval, symbol)


@pytest.mark.parametrize(
    "name",
    [
        "", "*", "quote", "quote:", "quote:A B", "quote:" + "A" * 33, "quote:AIG\n", "QUOTE:AIG",
        "candles:2m:AIG", "candles:1m:", "candles:AIG", "scanners:top_losers", "scanners:*",
        "{trades.0}:quote:2026-11-20", "tapewire:shards", "private:days",
        "scanners:us:top_volume", "scanners:in:top_losers", "top_trades:us:5m:value",
        "trades:", "top_trades:5m:price", "raw:ticker", "top_trades:*:value",
    ],
)  # fmt: skip
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(UnknownFeedError, match=r"is not a feed; expected one of scanners:"):
        parse_feed(name)


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("scanners:top_volume", US),
        ("scanners:in:top_volume", INDIA),
        ("top_trades:5m:value", US),
        ("top_trades:in:5m:value", INDIA),
        ("largest_prints", US),
        ("quote:AIG", US),
        ("candles:1m:O:SPY261218C00600000", US),
        ("candles:1m:NSE_FO:8765", INDIA),
        ("raw:ticks", INDIA),
        ("raw:trades", US),
        ("quote:*", None),
        ("halts", None),
        ("system:status", None),
    ],
)
def test_a_feed_is_of_one_market_or_of_several(name: str, market: Market | None) -> None:
    assert parse_feed(name).market == market


def test_a_wildcard_has_many_rows_and_a_quote_one() -> None:
    assert parse_feed("candles:1m:*").is_wildcard
    assert parse_feed("candles:*:AIG").is_wildcard
    assert parse_feed("daily_range:AIG").is_single
    assert not parse_feed("candles:1m:AIG").is_single
    assert parse_feed("quote:AIG").is_single
    assert not parse_feed("quote:*").is_single


def test_a_plug_ins_feeds_are_served_if_it_says_what_their_rows_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "_DECLARED", {})
    feeds.declare(
        Feed("mine:{symbol}", Kind.STATE, "symbol", "mine", 60, row=DailyRange),
        Feed("unread", Kind.EVENT, "symbol", "unread", 60),
        Feed("placed:{where}", Kind.EVENT, "symbol", "placed", 60, row=DailyRange),
    )
    assert parse_feed("mine:AIG").is_single
    for name in ("unread", "placed:x"):
        with pytest.raises(UnknownFeedError):
            parse_feed(name)
