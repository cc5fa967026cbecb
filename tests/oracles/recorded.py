"""A recorded day recomputed with Polars, straight from the zip files.

Shares no code with the package. The rules are written down here a second time, from
``components.md`` section 4 and the condition table of ``massive.md`` 1.6, by the bits of
the recording's flags (``data/lean/README.md``).
"""

import io
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

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


def trades(shared: Path, symbol: str, date: str) -> pl.DataFrame:
    """All trades of one file in their order: ms, price (in 1/10000), size, flags, order."""
    path = shared / "lean" / "tick" / symbol.lower() / f"{date.replace('-', '')}_trade.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    frame = pl.read_csv(
        io.BytesIO(text),
        has_header=False,
        new_columns=["ms", "price", "size", "exchange", "flags", "suspicious"],
        schema_overrides={"flags": pl.String},
    )
    return frame.with_columns(
        pl.col("flags").str.to_integer(base=16, dtype=pl.Int64), pl.int_range(pl.len()).alias("order")
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


def minute_candles(frame: pl.DataFrame, date: str) -> list[dict[str, Any]]:
    """The 1-minute candles of one symbol's trades (with V, HL, OC), in order of time."""
    midnight = midnight_ms(date)
    by_time = frame.sort("ms", "order").with_columns(minute=pl.col("ms") // 60_000)
    grouped = by_time.group_by("minute", maintain_order=True).agg(
        open=pl.col("price").filter("OC").first(),
        close=pl.col("price").filter("OC").last(),
        high=pl.col("price").filter("HL").max(),
        low=pl.col("price").filter("HL").min(),
        volume=pl.col("size").filter("V").sum(),
        notional=(pl.col("price") * pl.col("size")).filter("V").sum(),
        trades=pl.col("V").sum(),
    )
    return [
        _candle(row, midnight)
        for row in grouped.iter_rows(named=True)
        if row["open"] is not None
    ]


def _candle(row: dict[str, Any], midnight: int) -> dict[str, Any]:
    volume = row["volume"]
    return {
        "start_ms": midnight + row["minute"] * 60_000,
        **{name: row[name] / 10_000 for name in ("open", "high", "low", "close")},
        "volume": volume,
        "vwap": row["notional"] / (volume * 10_000) if volume else None,
        "trades": row["trades"],
    }


def lean_minutes(shared: Path, symbol: str, date: str) -> list[dict[str, Any]]:
    """LEAN's own minute bars of the regular session: start_ms, open, high, low, close, volume."""
    path = shared / "lean" / "minute" / symbol.lower() / f"{date.replace('-', '')}_trade.zip"
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


def last_quote(frame: pl.DataFrame, symbol: str, date: str, previous: float | None) -> dict[str, Any]:
    """The fields of the day's last quote record, from trades under Massive's rule."""
    midnight = midnight_ms(date)
    frame = frame.filter(pl.col("ms") >= TURN_MS).sort("ms", "order")
    touching = frame.filter(pl.col("V") | pl.col("HL") | pl.col("OC"))
    second = touching["ms"].max() // 1000  # type: ignore[operator]
    last = touching.filter(pl.col("ms") // 1000 == second)
    volume, notional = _sums(frame)
    second_volume, second_notional = _sums(last)
    regular = frame.filter(pl.col("OC") & pl.col("ms").is_between(OPEN_MS, CLOSE_MS, closed="left"))
    opening = frame.filter(_any(OPENING) & (pl.col("ms") >= OPEN_MS))
    close = frame.filter("OC")["price"][-1] / 10_000
    official = opening["price"][0] / 10_000 if len(opening) else None
    base = official or regular["price"][0] / 10_000
    counted = int(last["V"].sum())
    return {
        "symbol": symbol,
        "volume": second_volume,
        "vwap": second_notional / (second_volume * 10_000) if second_volume else None,
        "high": _price(last.filter("HL")["price"].max()),
        "low": _price(last.filter("HL")["price"].min()),
        "average_size": second_volume / counted if counted else None,
        "accumulated_volume": volume,
        "aggregate_vwap": notional / (volume * 10_000),
        "official_open_price": official,
        "open": base,
        "close": close,
        "day_high": _price(frame.filter("HL")["price"].max()),
        "day_low": _price(frame.filter("HL")["price"].min()),
        "prev_day_close": previous,
        "change": close - previous if previous else None,
        "pct_change": 100 * (close - previous) / previous if previous else None,
        "change_since_open": close - base,
        "pct_change_since_open": 100 * (close - base) / base,
        "start_timestamp": midnight + second * 1000,
        "end_timestamp": midnight + second * 1000 + 1000,
    }


def _sums(frame: pl.DataFrame) -> tuple[int, int]:
    counted = frame.filter("V")
    return int(counted["size"].sum()), int((counted["price"] * counted["size"]).sum())


def _price(value: Any) -> float | None:
    return None if value is None else value / 10_000


def regular_close(frame: pl.DataFrame) -> float:
    """The last open/close-eligible regular trade: the next day's previous close."""
    inside = frame.filter(pl.col("OC") & pl.col("ms").is_between(OPEN_MS, CLOSE_MS, closed="left"))
    return float(inside.sort("ms", "order")["price"][-1] / 10_000)
