"""Only what the feed table has can be named."""

import pytest

from tapewire.hub.feeds import UnknownFeedError, parse_feed


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
        ("daily_range:AIG", "daily_range", "", "AIG"),
        ("halt_state:*", "halt_state", "", "*"),
        ("halts", "halts", "", ""),
        ("trades:*", "trades", "", "*"),
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
        "trades:", "top_trades:5m:price", "top_trades:*:value",
    ],
)  # fmt: skip
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(UnknownFeedError, match=r"is not a feed; expected one of scanners:"):
        parse_feed(name)


def test_a_wildcard_has_many_rows_and_a_quote_one() -> None:
    assert parse_feed("candles:1m:*").is_wildcard
    assert parse_feed("candles:*:AIG").is_wildcard
    assert parse_feed("daily_range:AIG").is_single
    assert not parse_feed("candles:1m:AIG").is_single
    assert parse_feed("quote:AIG").is_single
    assert not parse_feed("quote:*").is_single
