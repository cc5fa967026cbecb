"""A recorded day recomputed with Polars, straight from the zip files.

Shares no code with the package. The rules are written down here a second time, from
``components.md`` section 4 and the condition table of ``massive.md`` 1.6, by the bits of
the recording's flags (``data/lean/README.md``).
"""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

Row = dict[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
OPEN_MS, CLOSE_MS, TURN_MS = 34_200_000, 57_600_000, 14_400_000

# Flag bits by what a trade that carries them may not update (any "no" wins).
NO_VOLUME = (24, 26)
NO_HIGH_LOW = (1, 2, 3, 20, 22, 31, 24, 26)
NO_OPEN_CLOSE = (*NO_HIGH_LOW, 9, 14, 25)
EXTENDED_ONLY = (10, 13)  # form T and extended hours: volume only inside the regular session
AUCTIONS = (6, 7, 8)  # opening, closing, reopening prints
OPENING = (6,)


def midnight_ms(date: str) -> int:
    """Midnight in New York of ``2013-10-07``, ms UTC."""
    day = datetime.fromisoformat(date).replace(tzinfo=NEW_YORK)
    return int(day.timestamp() * 1000)


def trades(data: Path, symbol: str, date: str) -> pl.DataFrame:
    """All trades of one file in their order: ms, price (in 1/10000), size, flags, order.

    ``data`` is the folder that holds ``lean``.
    """
    path = data / "lean" / "tick" / symbol.lower() / f"{date.replace('-', '')}_trade.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    frame = pl.read_csv(
        io.BytesIO(text),
        has_header=False,
        new_columns=["ms", "price", "size", "exchange", "flags", "suspicious"],
        schema_overrides={"flags": pl.String},
    )
    return frame.with_columns(
        pl.col("flags").str.to_integer(base=16, dtype=pl.Int64),
        pl.int_range(pl.len()).alias("order"),
    )


def _any(bits: tuple[int, ...]) -> pl.Expr:
    mask = sum(1 << bit for bit in bits)
    return (pl.col("flags") & mask) != 0


def massive_rule(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what each trade updates under Massive's conditions: V, HL, OC."""
    inside = pl.col("ms").is_between(OPEN_MS, CLOSE_MS, closed="left")
    volume_only = _any(EXTENDED_ONLY) & inside
    return frame.with_columns(
        V=~_any(NO_VOLUME),
        HL=~(_any(NO_HIGH_LOW) | volume_only),
        OC=~(_any(NO_OPEN_CLOSE) | volume_only),
    )


def regular_rule(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what each trade updates under LEAN's rule: regular prices, volume but auctions."""
    # No condition at all on the wire means that only bit 0 (or none) was set.
    regular = ((pl.col("flags") & 1) != 0) | (pl.col("flags") == 0)
    return frame.with_columns(V=~_any(AUCTIONS), HL=regular, OC=regular)


INTERVALS = {
    "15m": 900_000, "1d": 86_400_000, "1h": 3_600_000, "1m": 60_000, "1s": 1_000, "5m": 300_000,
}  # fmt: skip
"""Interval -> its length in ms, as text sorts them. A day begins at 04:00."""

SECONDS_MS, SLOT_MS = 900_000, 10_000


def candles(frame: pl.DataFrame, date: str, interval: str) -> list[Row]:
    """The candles of one symbol's trades (with V, HL, OC), in order of time."""
    midnight, length = midnight_ms(date), INTERVALS[interval]
    offset = TURN_MS if interval == "1d" else 0
    bucket = (pl.col("ms") - offset).floordiv(length) * length + offset
    by_time = frame.sort("ms", "order").with_columns(start=bucket)
    grouped = by_time.group_by("start", maintain_order=True).agg(
        open=pl.col("price").filter("OC").first(),
        close=pl.col("price").filter("OC").last(),
        high=pl.col("price").filter("HL").max(),
        low=pl.col("price").filter("HL").min(),
        volume=pl.col("size").filter("V").sum(),
        notional=(pl.col("price") * pl.col("size")).filter("V").sum(),
        trades=pl.col("V").sum(),
    )
    return [
        _candle(row, midnight) for row in grouped.iter_rows(named=True) if row["open"] is not None
    ]


def _candle(row: Row, midnight: int) -> Row:
    volume = row["volume"]
    return {
        "start_ms": midnight + row["start"],
        **{name: row[name] / 10_000 for name in ("open", "high", "low", "close")},
        "volume": volume,
        "vwap": row["notional"] / (volume * 10_000) if volume else None,
        "trades": row["trades"],
    }


def candle_rows(
    frame: pl.DataFrame, symbol: str, date: str, interval: str = "1m", from_ms: int = 0
) -> list[Row]:
    """``candles`` as a reader sees them after a replay that lost nothing."""
    place = {"symbol": symbol, "exchange": "US", "interval": interval}
    state = {"closed": True, "revision": 0, "gap": False, "minute_int": None, "estimated": False}
    found = candles(frame, date, interval)
    return [place | candle | state for candle in found if candle["start_ms"] >= from_ms]


def all_candle_rows(days: Mapping[str, Mapping[str, pl.DataFrame]]) -> list[Row]:
    """Every interval's candles of some dates' trades by symbol, as a dump lists them.

    Of one-second candles those from 15 minutes before the last ten seconds with a trade on.
    """
    date = max(days)
    touching = pl.col("V") | pl.col("HL") | pl.col("OC") | _any(OPENING)
    newest = max(max(frame.filter(touching)["ms"]) for frame in days[date].values())
    first = midnight_ms(date) + newest // SLOT_MS * SLOT_MS - SECONDS_MS
    return [
        row
        for interval in INTERVALS
        for symbol in days[date]
        for day, frames in days.items()
        for row in candle_rows(
            frames[symbol], symbol, day, interval, first if interval == "1s" else 0
        )
    ]


def lean_minutes(data: Path, symbol: str, date: str) -> list[Row]:
    """LEAN's own minute bars of the regular session: start_ms, open, high, low, close, volume."""
    path = data / "lean" / "minute" / symbol.lower() / f"{date.replace('-', '')}_trade.zip"
    with zipfile.ZipFile(path) as archive:
        rows = archive.read(archive.namelist()[0]).decode().split()
    midnight = midnight_ms(date)
    bars = []
    for row in rows:
        ms, first, high, low, last, volume = (int(value) for value in row.split(","))
        if OPEN_MS <= ms < CLOSE_MS:
            prices = {"open": first, "high": high, "low": low, "close": last}
            bars.append(
                {"start_ms": midnight + ms}
                | {name: price / 10_000 for name, price in prices.items()}
                | {"volume": volume}
            )
    return bars


@dataclass(frozen=True)
class DailyBar:
    """A day's official bar, which the next day is measured against."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    vwap: float

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "DailyBar":
        """Prices of the regular session's eligible trades, volume of the whole day's."""
        inside = frame.filter(_in_regular_session()).sort("ms", "order")
        eligible, extremes = _prices(inside, "OC"), _prices(inside, "HL")
        volume, notional = _sums(frame)
        vwap = round(notional / (volume * 10_000), 4)
        return cls(eligible[0], max(extremes), min(extremes), eligible[-1], volume, vwap)


def end_ms(frames: Iterable[pl.DataFrame]) -> int:
    """When the last cut of a replay is made that ends with these trades: ms since midnight."""
    return (max(int(frame["ms"].max()) for frame in frames) // 1000 + 1) * 1000  # type: ignore[arg-type]


def quote_at(
    frame: pl.DataFrame, symbol: str, date: str, previous: DailyBar | None, cut_ms: int
) -> Row | None:
    """A symbol's quote record as of a cut (ms since midnight, a whole second); all its fields.

    From trades under Massive's rule. None where it has not traded yet. What other streams and
    earlier sessions would tell is null.
    """
    midnight = midnight_ms(date)
    frame = frame.filter(pl.col("ms").is_between(TURN_MS, cut_ms, closed="left"))
    frame = frame.sort("ms", "order")
    touching = frame.filter(pl.col("V") | pl.col("HL") | pl.col("OC"))
    if not len(touching):
        return None
    second = touching["ms"][-1] // 1000
    volume, notional = _sums(frame)
    extremes = _prices(frame, "HL")
    start_ms = midnight + second * 1000
    return {
        "symbol": symbol,
        **_second(touching.filter(pl.col("ms") // 1000 == second)),
        "accumulated_volume": volume,
        "aggregate_vwap": notional / (volume * 10_000) if volume else None,
        "day_high": max(extremes, default=None),
        "day_low": min(extremes, default=None),
        **_changes(frame, previous, cut_ms),
        **_windows(frame, cut_ms),
        **_previous(previous),
        "start_timestamp": start_ms,
        "end_timestamp": start_ms + 1000,
        "session": _session(second * 1000),
        "avg_volume": None,
        "relative_volume": None,
        "free_float": None,
        "gap": False,
        **dict.fromkeys(NOT_TOLD),
    }


def best_quote(data: Path, symbol: str, date: str) -> tuple[Row, int]:
    """The fields that a day's recorded quotes fill in the end, and the ms of the last change."""
    path = data / "lean" / "tick" / symbol.lower() / f"{date.replace('-', '')}_quote.zip"
    with zipfile.ZipFile(path) as archive:
        rows = archive.read(archive.namelist()[0]).decode().split()
    sides: dict[str, tuple[str, ...]] = {}
    last_ms = 0
    for row in rows:
        ms, bid, bid_size, ask, ask_size, exchange, _ = row.split(",", 6)
        side = "bid" if ask == "0" else "ask"
        quoted = (bid, bid_size, exchange) if side == "bid" else (ask, ask_size, exchange)
        if sides.get(side) != quoted:
            sides[side], last_ms = quoted, int(ms)
    low, high = (int(sides[side][0]) / 10_000 for side in ("bid", "ask"))
    fields = {"bid": low, "ask": high, "spread_pct": 100 * (high - low) / ((low + high) / 2)}
    sizes = {f"{side}_size": int(sides[side][1]) for side in ("bid", "ask")}
    return fields | sizes, last_ms


NOT_TOLD = (
    *("relative_volume_tod", "halted", "news_at"),
    *("bid", "ask", "bid_size", "ask_size", "spread_pct", "name"),
)
"""Fields that trades alone do not fill."""


def _windows(frame: pl.DataFrame, cut_ms: int) -> Row:
    """Changes and volumes over the last 1, 5 and 15 minutes before a cut."""
    prices = frame.filter("OC")
    fields: Row = {}
    for minutes in (1, 5, 15):
        begin_ms = cut_ms - minutes * 60_000
        before = prices.filter(pl.col("ms") < begin_ms)
        fields[f"pct_change_{minutes}m"] = _percent(_last(prices), _last(before))
        if minutes < 15:
            fields[f"volume_{minutes}m"] = _sums(frame.filter(pl.col("ms") >= begin_ms))[0]
    return fields


def _last(prices: pl.DataFrame) -> float | None:
    return prices["price"][-1] / 10_000 if len(prices) else None


def _percent(close: float | None, base: float | None) -> float | None:
    return 100 * (close - base) / base if close is not None and base else None


def _second(last: pl.DataFrame) -> Row:
    """Fields of the last whole second in which the symbol traded."""
    volume, notional = _sums(last)
    counted = int(last["V"].sum())
    extremes = _prices(last, "HL")
    return {
        "volume": volume,
        "vwap": notional / (volume * 10_000) if volume else None,
        "high": max(extremes, default=None),
        "low": min(extremes, default=None),
        "average_size": volume / counted if counted else None,
    }


def _changes(frame: pl.DataFrame, previous: DailyBar | None, cut_ms: int) -> Row:
    """The close, and how far it is from the open's base and from the day before."""
    opening = frame.filter(_any(OPENING) & (pl.col("ms") >= OPEN_MS))
    official = opening["price"][0] / 10_000 if len(opening) else None
    base, note = _base(frame, official, cut_ms)
    close = _last(frame.filter("OC"))
    before = previous.close if previous else None
    return {
        "official_open_price": official,
        "open": base,
        "base_note": note,
        "close": close,
        "change": _difference(close, before),
        "pct_change": _percent(close, before),
        "change_since_open": _difference(close, base),
        "pct_change_since_open": _percent(close, base),
    }


def _base(
    frame: pl.DataFrame, official: float | None, cut_ms: int
) -> tuple[float | None, str | None]:
    """What the change since the open is measured from, and its name."""
    if official:
        return official, "official open"
    is_open = cut_ms >= OPEN_MS
    within = _in_regular_session() if is_open else pl.col("ms") < OPEN_MS
    prices = _prices(frame.filter(within), "OC")
    if not prices:
        return None, None
    return prices[0], "first regular trade" if is_open else "first pre-market trade"


def _difference(close: float | None, base: float | None) -> float | None:
    return close - base if close is not None and base else None


def _previous(bar: DailyBar | None) -> Row:
    names = ("open", "high", "low", "close", "volume", "vwap")
    return {f"prev_day_{name}": getattr(bar, name) if bar else None for name in names}


def _session(ms: int) -> str:
    if ms < OPEN_MS:
        return "pre"
    return "regular" if ms < CLOSE_MS else "post"


def _in_regular_session() -> pl.Expr:
    return pl.col("ms").is_between(OPEN_MS, CLOSE_MS, closed="left")


def _sums(frame: pl.DataFrame) -> tuple[int, int]:
    counted = frame.filter("V")
    return int(counted["size"].sum()), int((counted["price"] * counted["size"]).sum())


def _prices(frame: pl.DataFrame, counted: str) -> list[float]:
    """Prices in dollars of the trades that count, in order."""
    return [price / 10_000 for price in frame.filter(counted)["price"]]


SCORES = {
    "top_gainers": "pct_change_since_open",
    "top_gappers": "pct_change",
    "top_volume": "accumulated_volume",
}
"""Board -> the quote record's field that it ranks by."""


def board(name: str, quotes: Sequence[Row]) -> list[Row]:
    """A board's lines from the quote records: score descending, then symbol, ranks from 1."""
    scored = [(quote[SCORES[name]], quote["symbol"]) for quote in quotes]
    listed = sorted((-score, symbol) for score, symbol in scored if score is not None)
    return [
        {"rank": rank, "symbol": symbol, "score": -score}
        for rank, (score, symbol) in enumerate(listed, 1)
    ]
