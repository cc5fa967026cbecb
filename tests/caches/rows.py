"""Rows of a small market day, written as shards would write them."""

from collections.abc import Iterable, Sequence

from tapewire.caches.cache import Place, WidgetCache
from tapewire.market.symbols import shard_of
from tapewire.model.candle_names import candle_field, candle_hash
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.events import Gap
from tapewire.model.feeds import board_set, quote_hash
from tapewire.model.packed_candles import encode_candle
from tapewire.model.rows import Candle, QuoteRecord, encode_row

MINUTE_MS = 60_000
MONDAY, TUESDAY = "2013-10-07", "2013-10-08"
MONDAY_MS = 1_381_152_600_000  # 09:30 New York
TUESDAY_MS = MONDAY_MS + 86_400_000


def quote(symbol: str, close: float, end_ms: int = MONDAY_MS) -> QuoteRecord:
    """A quote record in which only some fields are known."""
    fields: dict[str, object] = dict.fromkeys(QuoteRecord.__struct_fields__)
    fields |= {"symbol": symbol, "close": close, "volume": 100, "accumulated_volume": 1000}
    fields |= {"volume_1m": 0, "volume_5m": 0}
    fields |= {"start_timestamp": end_ms - 1000, "end_timestamp": end_ms}
    fields |= {"volume_1m": 100, "volume_5m": 100}
    return QuoteRecord(**{**fields, "session": "regular", "gap": False})  # type: ignore[arg-type]


def candle(start_ms: int, close: float) -> Candle:
    """A closed candle of ten trades."""
    return Candle(start_ms, close, close + 1, close - 1, close, 200, close, 10, True, 0, False)


def candle_rows(
    symbol: str, date: str, candles: Iterable[Candle], interval: str = "1m", exchange: str = "US"
) -> dict[str, dict[str, bytes]]:
    """Packed candles by hash and field."""
    rows: dict[str, dict[str, bytes]] = {}
    for one in candles:
        name = candle_hash(exchange, symbol, interval, date, one.start_ms)
        rows.setdefault(name, {})[candle_field(date, one.start_ms)] = encode_candle(one)
    return rows


def day_of(symbol: str, date: str, start_ms: int, base: float, exchange: str = "US") -> Changes:
    """A symbol's quote record, two candles and its scores on one date."""
    candles = [candle(start_ms + minute * MINUTE_MS, base + minute) for minute in range(2)]
    return Changes(
        rows={
            quote_hash(date): {symbol: encode_row(quote(symbol, base + 1, start_ms + 90_000))},
            **candle_rows(symbol, date, candles, exchange=exchange),
        },
        boards={
            board_set("top_volume", date): BoardChange({symbol: base * 1000}),
            board_set("top_gappers", date): BoardChange({symbol: round(base % 7, 2)}),
        },
        gaps=[Gap("trades.0", "mdl-1", 1, 5, 9, 4, start_ms, start_ms + 10, "lost")],
        private={"days": {symbol: b"\x01"}},
    )


async def write_market(cache: WidgetCache, symbols: Sequence[str], shards: int) -> None:
    """Two days of these symbols; the last symbol trades on the first day only."""
    places: dict[str, Place] = {}
    for number, symbol in enumerate(symbols):
        shard = f"trades.{shard_of(symbol, shards)}"
        if shard not in places:
            places[shard] = (await cache.claim(shard)).place
        days = [day_of(symbol, MONDAY, MONDAY_MS, 50.0 + number)]
        if symbol != symbols[-1]:
            days.append(day_of(symbol, TUESDAY, TUESDAY_MS, 60.0 + number))
        for changes in days:
            places[shard] = await cache.flush(shard, places[shard], {"mdl-1": b"1"}, changes)


RELIANCE, FUTURE = "NSE_EQ:2885", "NSE_FO:8765"
WEDNESDAY = "2013-10-09"
WEDNESDAY_MS = 1_381_290_300_000  # 09:15 in India


async def write_indian_market(cache: WidgetCache, shards: int = 1) -> None:
    """A day of two Indian instruments, after the days of the US market; one has a name."""
    for number, symbol in enumerate((RELIANCE, FUTURE)):
        shard = f"ticks.{shard_of(symbol, shards)}"
        place = (await cache.claim(shard)).place
        changes = day_of(symbol, WEDNESDAY, WEDNESDAY_MS, 900.0 + number, exchange="IN")
        if symbol == RELIANCE:
            row = quote(symbol, 901.0, WEDNESDAY_MS + 90_000)
            row.name = "RELIANCE"
            changes.rows[quote_hash(WEDNESDAY)][symbol] = encode_row(row)
        await cache.flush(shard, place, {"brokers": b"1"}, changes)
