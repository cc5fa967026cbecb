"""Two markets in one hub: neither's rows, days or states touch the other's."""

import pytest

from tapewire.caches.cache import Followed, Place
from tapewire.hub.condition import NOT_CARRIED, Condition, Conditions
from tapewire.model.changes import Published
from tapewire.model.feeds import AS_OF, top_trades_hash
from tapewire.model.markets import INDIA, US, Market
from tapewire.model.rows import TopTrade, encode_row
from tests.hub.stage import FRIDAY, MONDAY, Client, Stage, candle, quote

RELIANCE, FUTURE = "NSE_EQ:2885", "NSE_FO:8765"
TICKS = "ticks.0"
CLOSED, LIVE, STALE = (Condition(state, 1, "") for state in ("closed", "live", "stale"))


def board(client: Client, feed: str) -> list[str]:
    return client.feeds[feed].order


def traded(stage: Stage, shard: str, symbol: str, value: float, date: str = FRIDAY) -> None:
    """A shard's ranking of one symbol, as of its own clock."""
    row = TopTrade(1, symbol, 5, 100, value, 1.0, 20.0, 50, None)
    fields = {"1m:value": encode_row([row]), AS_OF: encode_row(60_000)}
    stage.flushes += 1
    changes = Published({top_trades_hash(date): fields}, {}, {}, {}, [])
    stage.hub.market.take([Followed(shard, Place(1, stage.flushes), changes)])


def test_boards_are_of_their_own_market_and_day() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("scanners:top_volume", "scanners:in:top_volume")
    stage.flush(quotes=[quote("AIG", 71.0)], boards={"top_volume": {"AIG": 5.0}})
    stage.flush(
        quotes=[quote(RELIANCE, 1_400.0, name="RELIANCE")],
        boards={"top_volume": {RELIANCE: 9.0}},
        date=MONDAY,
        shard=TICKS,
    )
    stage.second()
    assert board(client, "scanners:top_volume") == ["AIG"], "India's Monday has begun, ours not"
    assert board(client, "scanners:in:top_volume") == [RELIANCE]
    [line] = client.feeds["scanners:in:top_volume"].ranked()
    assert (line["rank"], line["name"], line["close"]) == (1, "RELIANCE", 1_400.0)


def test_rankings_are_of_their_own_market() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe("top_trades:1m:value", "top_trades:in:1m:value")
    traded(stage, "trades.0", "AIG", 10.0)
    traded(stage, TICKS, RELIANCE, 1_000.0)
    stage.second()
    assert board(client, "top_trades:1m:value") == ["AIG"]
    assert board(client, "top_trades:in:1m:value") == [RELIANCE]


def test_a_markets_new_day_forgets_only_its_own_old_records() -> None:
    stage = Stage()
    stage.flush(quotes=[quote("AIG", 71.0)], date="2013-10-07")
    stage.flush(quotes=[quote(RELIANCE, 1_400.0)], shard=TICKS)
    stage.tick()
    client = stage.connect()
    assert {row["symbol"] for row in client.ask("quote:*")} == {"AIG", RELIANCE}
    stage.flush(quotes=[quote("BAC", 14.0)], date="2013-10-17")
    stage.tick()
    assert {row["symbol"] for row in client.ask("quote:*")} == {"BAC", RELIANCE}


def test_indian_candles_are_followed_by_symbols_with_colons() -> None:
    stage = Stage()
    client = stage.connect()
    client.subscribe(f"candles:1m:{FUTURE}", "candles:1m:*")
    for table in stage.hub.market.wanted():
        stage.hub.market.load(table, {}, [])  # nothing is stored yet
    at_ms = 1_795_146_300_000  # 09:15 in India
    stage.flush(candles={FUTURE: [candle(at_ms, 24_000.0)]}, shard=TICKS)
    stage.second()
    expected = {"symbol": FUTURE, "exchange": "IN", "minute_int": 91_500, "close": 24_000.0}
    rows = [
        client.feeds[f"candles:1m:{FUTURE}"].rows[at_ms],
        client.feeds["candles:1m:*"].rows[FUTURE],
    ]
    for row in rows:
        assert {name: row[name] for name in expected} == expected


def test_each_feed_tells_the_state_of_its_market() -> None:
    stage = Stage()
    client = stage.connect()
    feeds = ("scanners:top_volume", f"candles:1m:{FUTURE}", "quote:*")
    client.subscribe(*feeds)
    stage.hub.set_conditions({"us": CLOSED, "in": LIVE})
    stage.second()
    assert [client.feeds[feed].status["state"] for feed in feeds] == ["closed", "live", "live"]
    client.taken()
    stage.hub.set_conditions({"us": CLOSED, "in": STALE})
    stage.second()
    told = {one["feed"]: one["state"] for one in client.taken("status")}
    assert told == {f"candles:1m:{FUTURE}": "stale", "quote:*": "closed"}, "the others hold"


@pytest.mark.parametrize(
    ("known", "market", "expected"),
    [
        ({"us": STALE}, None, STALE),
        ({"us": STALE, "in": CLOSED}, None, CLOSED),
        ({"us": LIVE, "in": STALE}, None, LIVE),
        ({"us": LIVE, "in": STALE}, INDIA, STALE),
        ({"us": LIVE}, INDIA, NOT_CARRIED),
        ({"in": LIVE}, US, NOT_CARRIED),
    ],
)
def test_the_state_of_several_markets_is_the_best_of_them(
    known: dict[str, Condition], market: Market | None, expected: Condition
) -> None:
    assert Conditions(known).of(market) == expected
