"""US trades and Indian ticks on one Redis: commands and feeds keep the markets apart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.model.rows import Reference
from tapewire.runtime.service import Report, State
from tests.caches.rows import write_market
from tests.integration.test_cli import in_terminal, only_line
from tests.replays import environment, tapewire
from tests.services.ticks import FRIDAY, FUTURE, RELIANCE, TickDesk, baseline, ms, tick
from tests.services.widget_clients import Shard, serving, viewer

INDEX = "NSE_INDEX:Nifty_50"
VOLUME, INDIAS = "scanners:top_volume", "scanners:in:top_volume"


async def indian_morning(cache: RedisWidgetCache) -> TickDesk:
    """Two instruments from the open to 09:16:05; the equity has a name."""
    desk = await TickDesk(cache).claim()
    desk.refer([Reference(RELIANCE, FRIDAY, prev_day_close=1_250.0, name="RELIANCE")])
    await desk.show(baseline(RELIANCE, 1_300.0), baseline(FUTURE, 24_000.0))
    await desk.show(
        tick(RELIANCE, 1_310.0, 200, "09:15:01"),
        tick(FUTURE, 24_010.05, 75, "09:15:01"),
        tick(RELIANCE, 1_320.0, 500, "09:15:30"),
        tick(RELIANCE, 1_300.0, 600, "09:16:05"),
    )
    await desk.show(
        tick(FUTURE, 24_020.0, 150, "09:16:10"), tick(RELIANCE, 1_300.0, 600, "09:16:11")
    )
    return desk


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisWidgetCache]:
    """Two US days of 2013 and an Indian morning of 2026."""
    cache = RedisWidgetCache(redis_url)
    await write_market(cache, ["AIG", "BAC", "IBM"], 2)
    await indian_morning(cache)
    yield cache
    await cache.close()


@pytest.fixture
def env(cache: RedisWidgetCache, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return environment(TAPEWIRE_DATA_DIR=str(tmp_path / "data"), WDC_REDIS_URL=redis_url)


class TestCommands:
    @pytest.mark.parametrize(
        "arguments",
        ["8765 --exchange NSE_FO", "NSE_FO:8765", "nse_fo:8765", "NSE_FO:8765 --exchange IN"],
    )
    def test_candles_of_a_token(self, arguments: str, env: dict[str, str]) -> None:
        first, second = tapewire("candles", *arguments.split(), "--json", env=env).lines
        assert (first["symbol"], first["exchange"]) == (FUTURE, "IN")
        assert (first["start_ms"], first["minute_int"], first["volume"]) == (
            ms("09:15"), 91_500, 75
        )  # fmt: skip
        assert (second["minute_int"], second["close"]) == (91_600, 24_020.0)

    def test_candles_of_a_trading_symbol(self, env: dict[str, str]) -> None:
        arguments = ("candles", "reliance", "--exchange", "NSE_EQ", "--json")
        first, _ = tapewire(*arguments, env=env).lines
        assert (first["symbol"], first["volume"], first["high"]) == (RELIANCE, 500, 1_320.0)
        ended = tapewire("candles", "RELIANCE", "--exchange", "BSE_EQ", env=env)
        assert ended.code == 1
        assert f"there are some of {RELIANCE}, {FUTURE}" in only_line(ended)

    def test_times_are_given_and_shown_in_india(self, env: dict[str, str]) -> None:
        asked = ("candles", FUTURE, "--date", FRIDAY, "--from", "09:16")
        heads, line = tapewire(*asked, env=env).stdout.splitlines()
        assert line.startswith(f"{FRIDAY} 09:16:00\t")
        assert (heads.split("\t")[-1], line.split("\t")[-1]) == ("minute_int", "91600")
        table = in_terminal(*asked, env=env)
        assert f"{FUTURE} 1m, {FRIDAY} India" in table
        assert "09:16:00" in table
        assert "…" not in table

    def test_what_was_before_is_said_to_be_missing(self, env: dict[str, str]) -> None:
        ended = tapewire("candles", FUTURE, "--from", "2026-11-16", "--json", env=env)
        assert len(ended.lines) == 2
        assert "brokers are not asked" in ended.stderr

    @pytest.mark.parametrize("symbol", [RELIANCE, "NSE_EQ:RELIANCE", "nse_eq:reliance"])
    def test_a_quote_by_token_or_name(self, symbol: str, env: dict[str, str]) -> None:
        (row,) = tapewire("quote", symbol, "--json", env=env).lines
        assert (row["symbol"], row["name"], row["pct_change"]) == (RELIANCE, "RELIANCE", 4.0)

    def test_a_quote_in_a_terminal_tells_indias_time(self, env: dict[str, str]) -> None:
        shown = in_terminal("quote", RELIANCE, env=env)
        assert f"{RELIANCE} RELIANCE" in shown
        assert f"{FRIDAY} 09:16:12" in shown

    def test_boards_are_of_one_market(self, env: dict[str, str]) -> None:
        us = tapewire("top", "volume", "--json", env=env).lines
        india = tapewire("top", "volume", "--market", "in", "--json", env=env).lines
        assert [row["symbol"] for row in us] == ["BAC", "AIG"]
        assert [(row["rank"], row["symbol"], row["name"]) for row in india] == [
            (1, RELIANCE, "RELIANCE"), (2, FUTURE, None),
        ]  # fmt: skip
        assert "called" not in india[0]

    def test_an_indian_board_fits_a_terminal_and_names_its_instruments(
        self, env: dict[str, str]
    ) -> None:
        shown = in_terminal("top", "gainers", "--market", "in", env=env)
        assert "NSE_EQ:RELIANCE" in shown
        assert "India time" in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_top_trades_are_of_one_market(self, env: dict[str, str]) -> None:
        asked = ("top-trades", "--metric", "volume", "--json")
        india = tapewire(*asked, "--market", "in", env=env).lines
        assert [(row["symbol"], row["volume"]) for row in india] == [(RELIANCE, 600), (FUTURE, 150)]
        assert tapewire(*asked, env=env).code == 1, "no US trades were ranked"


async def test_clients_see_each_market_on_feeds_of_its_own(cache: RedisWidgetCache) -> None:
    async with serving(cache) as service, viewer(service.port) as client:
        candles = f"candles:1m:{FUTURE}"
        await client.subscribe(VOLUME, INDIAS, candles, f"quote:{RELIANCE}", "candles:1m:*")
        await client.until(lambda: len(client.feeds[INDIAS].order) == 2)
        assert client.feeds[VOLUME].order == ["BAC", "AIG"]
        assert client.feeds[INDIAS].order == [RELIANCE, FUTURE]
        await client.until(lambda: ms("09:16") in client.feeds[candles].rows)
        assert client.feeds[candles].rows[ms("09:15")]["minute_int"] == 91_500
        newest = client.feeds["candles:1m:*"].rows
        exchanges = {"AIG": "US", "BAC": "US", RELIANCE: "IN", FUTURE: "IN"}
        assert {symbol: newest[symbol]["exchange"] for symbol in exchanges} == exchanges
        desk = await TickDesk(cache).claim()
        await desk.show(
            tick(FUTURE, 24_030.0, 225, "09:16:20"), tick(INDEX, 26_000.0, None, "09:16:20")
        )
        await desk.show(tick(FUTURE, 24_031.0, 300, "09:16:22"))
        await client.until(lambda: client.feeds[candles].rows[ms("09:16")]["close"] == 24_030.0)


async def test_a_closed_market_does_not_close_the_other(cache: RedisWidgetCache) -> None:
    listed = [
        Report("listener", "0", State.DEGRADED, False, 5, {"trades": 0.0}, reason="no key"),
        Report("listener", "1", State.DEGRADED, False, 5, {"ticks": 0.0}, reason="no token"),
    ]

    async def reports() -> list[Report]:
        return listed

    async with serving(cache, reports=reports) as service, viewer(service.port) as client:
        feeds = (VOLUME, INDIAS, "quote:*")
        await client.subscribe(*feeds)
        ticks, trades = await TickDesk(cache).claim(), Shard(cache, "trades.0")
        await ticks.show(tick(RELIANCE, 1_301.0, 700, "09:16:30"))
        for feed in (INDIAS, "quote:*"):
            await client.until_status(feed, "live")
        assert client.feeds[VOLUME].status["state"] == "stale"
        assert client.feeds[VOLUME].status["reason"] == "no key"
        await trades.flush("AIG")
        await client.until_status(VOLUME, "live")
