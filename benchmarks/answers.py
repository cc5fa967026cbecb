"""Compare what stands in Redis with what the oracle says has to stand there.

Reads with plain Redis commands and takes MessagePack apart by position, so that the
package's own reading code cannot hide its own writing faults.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isclose
from typing import Any, Final

import msgspec
import redis

from benchmarks.oracle import Answers, Values, board

SHARD: Final = "{trades.0}:"
"""The tag of the shard that is looked at unless another is named."""
CANDLE: Final = (
    "start_ms", "open", "high", "low", "close", "volume", "vwap", "trades", "closed", "revision",
    "gap",
)  # fmt: skip
QUOTE: Final = (
    "symbol", "volume", "free_float", "accumulated_volume", "relative_volume",
    "official_open_price", "vwap", "open", "close", "high", "low", "aggregate_vwap",
    "average_size", "avg_volume", "prev_day_close", "prev_day_open", "prev_day_high",
    "prev_day_low", "prev_day_volume", "prev_day_vwap", "change", "pct_change",
    "change_since_open", "pct_change_since_open", "start_timestamp", "end_timestamp",
    "session", "day_high", "day_low", "base_note", "gap", "relative_volume_tod",
    "pct_change_1m", "pct_change_5m", "pct_change_15m", "volume_1m", "volume_5m", "halted",
    "news_at", "bid", "ask", "bid_size", "ask_size", "spread_pct",
)  # fmt: skip
BOARDS: Final = {
    "top_volume": "accumulated_volume",
    "top_gappers": "pct_change",
    "top_gainers": "pct_change_since_open",
}

SHOWN: Final = 10
"""Differences told; one is enough to fail."""

Rows = dict[int, Values]

_unpack = msgspec.msgpack.decode


def differences(url: str, expected: Answers, prefix: str = SHARD) -> list[str]:
    """What is wrong in the Redis at ``url``, in words; empty when every answer is right."""
    with redis.Redis.from_url(url, protocol=2) as store:
        return [line for check in CHECKS for line in check(store, expected, prefix)]


def _counts(store: Any, expected: Answers, prefix: str) -> Iterator[str]:
    packed = store.hget(f"{prefix}private:progress", "totals")
    totals = _unpack(packed) if packed else {}
    taken_in = {"events": totals.get("events"), "lost": totals.get("lost")}
    if taken_in != {"events": expected.events, "lost": 0}:
        yield f"taken in {taken_in}, expected {expected.events} events and none lost"


def _candles(store: Any, expected: Answers, prefix: str) -> Iterator[str]:
    """The 1-minute candles; each day's lie in blocks of four hours."""
    found: dict[str, Rows] = defaultdict(dict)
    keys = sorted(key.decode() for key in store.scan_iter(f"{prefix}candles:*:1m:*", count=5000))
    with store.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        for key, rows in zip(keys, pipeline.execute(), strict=True):
            day = key.rpartition(".")[0]
            found[day].update(unpacked(day.rpartition(":")[2], rows))
    wanted = {_candle_key(prefix, *place): place for place in expected.candles}
    for key in sorted(found.keys() ^ wanted.keys()):
        yield f"{key}: {'not expected' if key in found else 'missing'}"
    for key in sorted(found.keys() & wanted.keys()):
        yield from _candles_of(key, found[key], expected, wanted[key])


def _candle_key(prefix: str, date: str, symbol: str) -> str:
    return f"{prefix}candles:US:{symbol}:1m:{date}"


def unpacked(date: str, rows: Mapping[bytes, bytes]) -> Rows:
    """Packed candles by start; the field is the minute since midnight UTC of the date."""
    midnight = datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000
    starts = {field: int(midnight) + int(field) * 60_000 for field in rows}
    return {starts[field]: _unpacked(starts[field], _unpack(row)) for field, row in rows.items()}


def _unpacked(start_ms: int, packed: list[Any]) -> Values:
    state, opened, high, low, close, volume, trades, value = packed
    if isinstance(opened, int):
        unit = 100 if state & 4 else 1
        first = opened * unit
        ticks = (first, first + high * unit, first - low * unit, first + close * unit)
        opened, high, low, close = (price / 10_000 for price in ticks)
        value = (first * volume + value) / (10_000 * volume) if volume else None
    fields = (start_ms, opened, high, low, close, volume, value, trades)
    return dict(zip(CANDLE, (*fields, bool(state & 1), state // 8, bool(state & 2)), strict=True))


def _candles_of(key: str, found: Rows, expected: Answers, place: tuple[str, str]) -> Iterator[str]:
    wanted = expected.candles[place]
    for start_ms in sorted(found.keys() ^ wanted.keys()):
        yield f"{key} {start_ms}: {'not expected' if start_ms in found else 'missing'}"
    for start_ms in sorted(found.keys() & wanted.keys()):
        late = (place[1], start_ms) in expected.revised
        want = {k: v for k, v in wanted[start_ms].items() if not (late and k == "revision")}
        yield from _unequal(f"{key} {start_ms}", found[start_ms], want)


def _quotes(store: Any, expected: Answers, prefix: str) -> Iterator[str]:
    rows = store.hgetall(f"{prefix}quote:{expected.date}")
    found = {symbol.decode(): named(QUOTE, packed) for symbol, packed in rows.items()}
    for symbol in sorted(found.keys() ^ expected.quotes.keys()):
        yield f"quote {symbol}: {'not expected' if symbol in found else 'missing'}"
    for symbol in sorted(found.keys() & expected.quotes.keys()):
        yield from _unequal(f"quote {symbol}", found[symbol], expected.quotes[symbol])


def _boards(store: Any, expected: Answers, prefix: str) -> Iterator[str]:
    for name, field in BOARDS.items():
        rows = store.zrange(f"{prefix}{name}:{expected.date}", 0, -1, withscores=True)
        found = {symbol.decode(): score for symbol, score in rows}
        yield from _unequal(name, found, board(expected.quotes, field))
        for symbol in sorted(found.keys() - board(expected.quotes, field).keys()):
            yield f"{name}: {symbol} is not expected"


CHECKS: Final = (_counts, _candles, _quotes, _boards)


def named(names: tuple[str, ...], packed: bytes) -> Values:
    """A packed row's first fields by name."""
    return dict(zip(names, _unpack(packed), strict=False))


def _unequal(what: str, found: Values, wanted: Values) -> Iterator[str]:
    for name, value in wanted.items():
        if not same(found.get(name), value):
            yield f"{what}: {name} is {found.get(name)}, expected {value}"


def same(found: Any, wanted: Any) -> bool:
    """Equal; two computed floats may differ in the last place."""
    if isinstance(found, float) and isinstance(wanted, float):
        return isclose(found, wanted, rel_tol=1e-12)
    return bool(found == wanted)
