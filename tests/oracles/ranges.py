"""Daily ranges and their alerts of a recorded day, recomputed from the zip files.

Shares no code with the package. Seconds are summed up with Polars; the rules of
``components.md`` section 4 and the concepts page are walked through in whole
ten-thousandths of a dollar.
"""

from collections.abc import Iterator
from operator import gt, lt
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tests.oracles.recorded import CLOSE_MS, OPEN_MS, TURN_MS, massive_rule, midnight_ms, trades

Row = dict[str, Any]

POST_MS = 20 * 3_600_000
COOLDOWN_MS, RUNNING_MS, CLOSES = 30_000, 300_000, 3
BOUNDS = {"pre": (TURN_MS, OPEN_MS), "regular": (OPEN_MS, CLOSE_MS), "post": (CLOSE_MS, POST_MS)}
WORDS = {"pre": "pre-market", "regular": "regular-session", "post": "after-hours"}


class Second(NamedTuple):
    """What one symbol did in one second of one session; prices in ten-thousandths."""

    ms: int
    session: str
    high: int
    low: int
    close: int | None


def seconds(data: Path, symbol: str, date: str) -> list[Second]:
    """Every second with a print that counts for high and low, in order."""
    frame = massive_rule(trades(data, symbol, date)).sort("ms", "order")
    grouped = (
        frame.with_columns(second=pl.col("ms") // 1000 * 1000)
        .group_by("second", maintain_order=True)
        .agg(
            high=pl.col("price").filter("HL").max(),
            low=pl.col("price").filter("HL").min(),
            close=pl.col("price").filter("OC").last(),
        )
        .filter(pl.col("high").is_not_null())
    )
    return [
        Second(row["second"], session, row["high"], row["low"], row["close"])
        for row in grouped.iter_rows(named=True)
        for session, (first, end) in BOUNDS.items()
        if first <= row["second"] < end
    ]


def range_row(data: Path, symbol: str, date: str) -> Row:
    """The day's last ``daily_range`` row."""
    midnight = midnight_ms(date)
    everything = seconds(data, symbol, date)
    row: Row = {"symbol": symbol, "session": everything[-1].session, "gap": False}
    for name in ("day", *BOUNDS):
        some = [one for one in everything if name in ("day", one.session)]
        high, low = max((one.high for one in some), default=None), None
        low = min((one.low for one in some), default=None)
        for side, price in (("high", high), ("low", low)):
            at = next((one.ms for one in some if getattr(one, side) == price), None)
            row[f"{name}_{side}"] = None if price is None else price / 10_000
            row[f"{name}_{side}_ms"] = None if at is None else midnight + at
    return row


def alerts(data: Path, symbols: tuple[str, ...], date: str, direction: str) -> list[Row]:
    """All alerts of one feed, by time, then symbol."""
    found = [
        {"symbol": symbol, **alert}
        for symbol in symbols
        for alert in _alerts(seconds(data, symbol, date), midnight_ms(date), direction)
    ]
    return sorted(found, key=lambda alert: (alert["timestamp_ms"], alert["symbol"]))


def _alerts(day: list[Second], midnight: int, direction: str) -> Iterator[Row]:
    outside = gt if direction == "high" else lt
    furthest = max if direction == "high" else min
    extremes: dict[str, int] = {}
    silent_until = running_until = -1
    streak: list[int] = []
    for second in day:
        price = second.high if direction == "high" else second.low
        own = extremes.get(second.session)
        best = furthest(extremes.values()) if extremes else None
        alert = {"session": second.session, "direction": direction}
        if own is None or outside(price, own):
            streak = []
            if own is not None and second.ms >= silent_until:
                silent_until = second.ms + COOLDOWN_MS
                level, note = _level(extremes, second.session, price, direction)
                prices = {"price": price / 10_000, "previous": level / 10_000}
                at = {"timestamp_ms": midnight + second.ms}
                yield alert | {"kind": "break", "note": note} | prices | at
            extremes[second.session] = price
        elif second.close is not None:
            assert best is not None
            near = abs(best - second.close) * 400 <= best or outside(second.close, best)
            goes_on = bool(streak) and outside(second.close, streak[-1])
            streak = [*(streak if goes_on else []), second.close] if near else []
            if len(streak) >= CLOSES and second.ms >= max(silent_until, running_until):
                running_until = second.ms + RUNNING_MS
                way = "up" if direction == "high" else "down"
                note = f"running {way} to the {direction} of day"
                prices = {"price": second.close / 10_000, "previous": best / 10_000}
                at = {"timestamp_ms": midnight + second.ms}
                yield alert | {"kind": f"running_{way}", "note": note} | prices | at


def _level(extremes: dict[str, int], session: str, price: int, direction: str) -> tuple[int, str]:
    """What a price went through: an earlier session's extreme, the day's, or its own session's."""
    high = direction == "high"
    own = extremes[session]
    held = {
        name: level
        for name, level in extremes.items()
        if name != session and (own <= level < price if high else own >= level > price)
    }
    if held:
        level = (max if high else min)(held.values())
        name = [one for one in held if held[one] == level][-1]
        return level, f"broke {WORDS[name]} {direction}"
    best = (max if high else min)(extremes.values())
    if price > best if high else price < best:
        return best, f"new {direction} of day"
    return own, f"new {WORDS[session]} {direction}"
