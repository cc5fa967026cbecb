"""Two made-up trading days in the layout of LEAN's zip files.

For machines without the recorded data: the same folders, names, columns and rules, so that
the tests which read the recorded days run unchanged, on smaller files. As in the recording, a sweep
does not carry the Regular flag beside its own.
"""

import random
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATES: Final = ("20131007", "20131008")

REGULAR: Final = 1 << 0
SWEEP: Final = 1 << 5 | 1 << 29
OPENING: Final = 1 << 6
CLOSING: Final = 1 << 7
EXTENDED_HOURS: Final = 1 << 13
ODD_LOT: Final = 1 << 31

MINUTE_MS: Final = 60_000
PRE_MS: Final = 4 * 60 * MINUTE_MS
OPEN_MS: Final = (9 * 60 + 30) * MINUTE_MS
CLOSE_MS: Final = 16 * 60 * MINUTE_MS
POST_MS: Final = 20 * 60 * MINUTE_MS

CENT: Final = 100
"""Prices are in ten-thousandths of a dollar."""

BAR_FOLDERS: Final = {"minute": MINUTE_MS, "second": 1_000}


@dataclass(frozen=True)
class Listing:
    """A symbol of the made-up market: its first price (dollars × 10,000) and how it trades."""

    symbol: str
    price: int
    exchange: str
    trades_per_minute: int
    quotes: bool


LISTINGS: Final = (
    Listing("aig", 486_500, "N", 8, quotes=True),
    Listing("bac", 139_000, "N", 10, quotes=True),
    Listing("ibm", 1_822_000, "N", 6, quotes=True),
    Listing("spy", 1_678_000, "P", 14, quotes=False),
)


@dataclass(frozen=True)
class Print:
    """One trade: time (ms since midnight New York), price × 10,000, shares, flags."""

    ms: int
    price: int
    size: int
    exchange: str
    flags: int

    def row(self) -> str:
        """Return the trade as a line of LEAN's tick file."""
        return f"{self.ms},{self.price},{self.size},{self.exchange},{self.flags:X},0"


def write_generated_day(root: Path, seed: int = 1) -> Path:
    """Write ``data/lean`` below ``root`` and return ``root``; one seed, one set of bytes."""
    lean = root / "data" / "lean"
    for listing in LISTINGS:
        chance = random.Random(f"{seed}-{listing.symbol}")
        price = listing.price
        for date in DATES:
            prints = list(_prints(listing, price, chance))
            price = _last_price(prints)
            _write_day(lean, listing, date, prints, chance)
    return root


def bars(prints: Iterable[Print], width_ms: int) -> Iterator[str]:
    """Compute LEAN's bars: prices from Regular trades, volume from all but the crosses.

    Outside the regular session trades flagged so make prices too.
    """
    buckets: dict[int, list[Print]] = {}
    for trade in prints:
        buckets.setdefault(trade.ms - trade.ms % width_ms, []).append(trade)
    for start, trades in sorted(buckets.items()):
        prices = [t.price for t in trades if t.flags & (REGULAR | EXTENDED_HOURS)]
        volume = sum(t.size for t in trades if not t.flags & (OPENING | CLOSING))
        if prices:
            yield f"{start},{prices[0]},{max(prices)},{min(prices)},{prices[-1]},{volume}"


def _write_day(
    lean: Path, listing: Listing, date: str, prints: list[Print], chance: random.Random
) -> None:
    symbol = listing.symbol
    ticks, name = lean / "tick" / symbol, f"{date}_{symbol}"
    trades = (trade.row() for trade in prints)
    _write_zip(ticks / f"{date}_trade.zip", f"{name}_Trade_Tick.csv", trades)
    if listing.quotes:
        quotes = _quotes(prints, chance)
        _write_zip(ticks / f"{date}_quote.zip", f"{name}_Quote_Tick.csv", quotes)
    for folder, width_ms in BAR_FOLDERS.items():
        rows = bars(prints, width_ms)
        _write_zip(lean / folder / symbol / f"{date}_trade.zip", f"{name}_{folder}_trade.csv", rows)


def _write_zip(path: Path, name: str, rows: Iterable[str]) -> None:
    """Write one zip with one CSV file without a header, dated 1980 (reproducible bytes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "".join(f"{row}\n" for row in rows))


def _prints(listing: Listing, price: int, chance: random.Random) -> Iterator[Print]:
    """Yield one day of trades in order of time."""
    yield from _session(listing, price, PRE_MS, OPEN_MS, 0.02, chance)
    price += chance.randint(-20, 20) * CENT
    yield Print(OPEN_MS + 40, price, 25_000, listing.exchange, OPENING)
    yield from _session(listing, price, OPEN_MS + 50, CLOSE_MS, 1.0, chance)
    price += chance.randint(-60, 60) * CENT
    yield Print(CLOSE_MS + 900, price, 60_000, listing.exchange, CLOSING)
    yield from _session(listing, price, CLOSE_MS + 1_000, POST_MS, 0.02, chance)


def _session(
    listing: Listing, price: int, start: int, end: int, share: float, chance: random.Random
) -> Iterator[Print]:
    """Yield a session's trades: a random walk on the cent, busier at both ends of the day."""
    regular = share == 1.0
    now = float(start)
    while True:
        middle = abs(2 * (now - start) / (end - start) - 1)
        per_ms = listing.trades_per_minute * share * (0.5 + middle * middle * 1.5) / MINUTE_MS
        now += chance.expovariate(per_ms)
        if now >= end:
            return
        price = max(CENT, price + chance.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2)) * CENT)
        size, flags = _size_and_flags(chance, REGULAR if regular else EXTENDED_HOURS)
        yield Print(int(now), price, size, chance.choice(("N", "P", "Q", "Z", "D")), flags)


def _size_and_flags(chance: random.Random, base: int) -> tuple[int, int]:
    """Return shares and flags: one trade in six is an odd lot, two in five a sweep."""
    roll = chance.random()
    if roll < 1 / 6:
        return chance.randint(1, 99), ODD_LOT | (base & EXTENDED_HOURS)
    sweep = SWEEP | (base & EXTENDED_HOURS)
    return 100 * chance.randint(1, 9), sweep if roll > 3 / 5 else base


def _quotes(prints: Iterable[Print], chance: random.Random) -> Iterator[str]:
    """Yield an exchange's best bid, then its best offer, just before every trade."""
    for trade in prints:
        spread = chance.randint(1, 3) * CENT
        sizes = chance.randint(1, 40) * 100, chance.randint(1, 40) * 100
        ms = max(PRE_MS, trade.ms - 1)
        yield f"{ms},{trade.price - spread},{sizes[0]},0,0,{trade.exchange},1,0"
        yield f"{ms},0,0,{trade.price + spread},{sizes[1]},{trade.exchange},1,0"


def _last_price(prints: Iterable[Print]) -> int:
    return [trade.price for trade in prints][-1]
