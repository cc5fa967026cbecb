"""Top trades, largest prints and time and sales once more, in the plainest Python.

Shares no code with the package: what was traded is counted anew for each window.
"""

from collections.abc import Sequence
from typing import Any

from tests.properties.naive import Sale

LENGTHS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
Row = dict[str, Any]


def rankings(sales: Sequence[Sale], end_s: int, size: int = 50) -> dict[str, list[Row]]:
    """``{window}:{metric}`` -> rows, best first; windows end before the second ``end_s``."""
    found = {}
    for window, length in LENGTHS.items():
        rows = window_rows(sales, end_s - length, end_s, length)
        for metric in ("trades", "volume", "value", "acceleration"):
            scored = [row for row in rows if row[metric]]
            best = sorted(scored, key=lambda row: (-row[metric], row["symbol"]))[:size]
            found[f"{window}:{metric}"] = [{"rank": n, **row} for n, row in enumerate(best, 1)]
    return found


def window_rows(sales: Sequence[Sale], from_s: int, to_s: int, length: int) -> list[Row]:
    rows = []
    for symbol in sorted({sale.symbol for sale in sales}):
        own = [sale for sale in sales if sale.symbol == symbol and sale.counts]
        inside = [sale for sale in own if from_s <= sale.t // 1000 < to_s]
        before = [sale for sale in own if from_s - length <= sale.t // 1000 < from_s]
        if inside:
            rows.append(row_of(symbol, inside, len(before)))
    return rows


def row_of(symbol: str, inside: Sequence[Sale], before: int) -> Row:
    volume = sum(sale.size for sale in inside)
    millionths = sum(round(sale.price * 1_000_000) * sale.size for sale in inside)
    return {
        "symbol": symbol,
        "trades": len(inside),
        "volume": volume,
        "value": millionths / 1_000_000,
        "vwap": millionths / (volume * 1_000_000),
        "average_size": volume / len(inside),
        "largest_size": max(sale.size for sale in inside),
        "acceleration": len(inside) / before if before else None,
    }


def prints(sales: Sequence[Sale], date: str, size: int = 100) -> list[tuple[Any, ...]]:
    """(rank, symbol, value, size, price, t, conditions, sequence) of a date's largest."""
    counted = [sale for sale in sales if sale.counts and sale.date == date]
    value = {sale: round(sale.price * 1_000_000) * sale.size / 1_000_000 for sale in counted}
    ranked = sorted(counted, key=lambda s: (-value[s], s.symbol, s.t, s.q))[:size]
    return [
        (rank, s.symbol, value[s], s.size, s.price, s.t, s.conditions, s.q)
        for rank, s in enumerate(ranked, 1)
    ]
