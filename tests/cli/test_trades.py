"""``tapewire trades`` and its neighbours over a cache that one shard has written."""

import io
import json

import pytest

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.caches.trade_reader import TradeReader
from tapewire.cli.output import Form, Printer
from tapewire.cli.trades import Tape
from tapewire.model.changes import Changes
from tapewire.model.feeds import AS_OF, prints_hash, tape_feed, top_trades_hash
from tapewire.model.rows import LargestPrint, Sale, TopTrade, encode_row

DATE = "2026-11-20"


def sale(number: int) -> Sale:
    return Sale(1_000 + number, 10.0, 100, (), 4, number)


def changes(*numbers: int) -> Changes:
    line = TopTrade(1, "AIG", 5, 100, 1_000.0, 10.0, 20.0, 50, None)
    largest = LargestPrint(1, "AIG", 1_000.0, 100, 10.0, 1_001, (), 4, 1)
    rankings = {AS_OF: encode_row(60_000), "5m:value": encode_row([line])}
    return Changes(
        rows={
            top_trades_hash(DATE): rankings,
            prints_hash(DATE): {"prints": encode_row([largest])},
        },
        items={tape_feed("AIG"): [encode_row(sale(number)) for number in numbers]},
    )


async def test_what_comes_is_printed_once() -> None:
    cache, stream, tape = MemoryWidgetCache(), io.StringIO(), Tape("aig")
    place = (await cache.claim("trades.0")).place
    rows, printer = TradeReader(cache), Printer(Form.JSON, stream)
    for numbers in ((1, 2), (3,), (4, 5)):
        place = await cache.flush("trades.0", place, {}, changes(*numbers))
        tape.show_new(await tape.read(rows, 3), printer)
    printed = [json.loads(line)["sequence"] for line in stream.getvalue().splitlines()]
    assert printed == [1, 2, 3, 4, 5]


async def test_rankings_and_prints_are_read_back() -> None:
    cache = MemoryWidgetCache()
    await cache.flush("trades.0", (await cache.claim("trades.0")).place, {}, changes(1))
    rows = TradeReader(cache)
    assert [line.symbol for line in await rows.top_trades("5m", "value")] == ["AIG"]
    assert await rows.top_trades("1m", "value") == []
    assert [one.sequence for one in await rows.largest_prints()] == [1]
    assert await rows.taped() == ["AIG"]
    feeds = [row["feed"] async for row in rows.dump(lambda feed: True)]
    assert feeds == ["top_trades:5m:value", "largest_prints"]
    with pytest.raises(ValueError, match="no top trades 2m:value; expected one of 1m"):
        await rows.top_trades("2m", "value")
