"""A peak of provider aggregates, and what must come of it.

The recorded trades from 09:30 on become the provider's own second bars (``A``): one per
ticker and second in which it traded. Each is cloned under made-up tickers until there are
1,000 of them, and stamped so that event time runs at wall speed; bars of one ticker that
fall into the same second then are what the provider calls corrections: the last one counts.
Shares no code with the package.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.frames import Recording, framed
from benchmarks.oracle import MILLION, Answers, Read, Values, half_hour, read
from benchmarks.peak import TICKERS, clone_name, make_peak

BAR: Final = (
    '{"ev":"A","sym":"%s","v":%d,"av":%d,"op":%.4f,"vw":%.6f,"o":%.4f,"c":%.4f,"h":%.4f,'
    '"l":%.4f,"a":%.6f,"z":%d,"s":%d,"e":%d}'
)


@dataclass(frozen=True)
class Bar:
    """One second of one recorded ticker; prices in dollars, ``start_ms`` as stamped."""

    symbol: str
    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    accumulated: int
    vwap: float
    day_vwap: float
    size: int
    official: float

    def text(self, symbol: str) -> bytes:
        """The bar's JSON under a clone's name."""
        return (
            BAR
            % (
                *(symbol, self.volume, self.accumulated, self.official, self.vwap, self.open),
                *(self.close, self.high, self.low, self.day_vwap, self.size),
                *(self.start_ms, self.start_ms + 1000),
            )
        ).encode()


@dataclass(frozen=True)
class BarPeak:
    """Bars to clone."""

    originals: list[Bar]
    clones: int
    events_per_second: float

    @property
    def count(self) -> int:
        """Events, clones included."""
        return len(self.originals) * self.clones

    def frames(self) -> list[bytes]:
        """Frames of 100 events; the clones of one bar follow each other."""
        return list(framed(self._texts()))

    def _texts(self) -> Iterator[bytes]:
        for bar in self.originals:
            for name in self.names(bar.symbol):
                yield bar.text(name)

    def names(self, symbol: str) -> list[str]:
        """The tickers that a recorded one stands for."""
        return [clone_name(symbol, k) for k in range(self.clones)]


def make_bar_peak(recording: Recording, events: int, events_per_second: float) -> BarPeak:
    """About ``events`` bars; fewer where the recording is shorter than that."""
    seconds = list(_seconds(recording))
    clones = max(1, TICKERS // len({symbol for symbol, _ in seconds}))
    start_ms = make_peak(recording, 1, 1.0).originals[0].trade["t"]
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    opens: dict[str, float] = {}
    originals: list[Bar] = []
    for symbol, trades in seconds:
        at_ms = start_ms + 1000 * len(originals) * clones / events_per_second
        bar = _bar(symbol, int(at_ms) // 1000 * 1000, trades, sums[symbol], opens)
        if bar is not None:
            originals.append(bar)
        if len(originals) * clones >= events:
            break
    return BarPeak(originals, clones, events_per_second)


def _seconds(recording: Recording) -> Iterator[tuple[str, list[Read]]]:
    """Each ticker's trades of each second of the regular session, seconds in order."""
    now, seconds = -1, defaultdict[str, list[Read]](list)
    for text in recording.events():
        trade = read(json.loads(text))
        if not half_hour(trade.t // 1_800_000)[1]:
            continue
        if trade.t // 1000 != now:
            yield from sorted(seconds.items())
            now, seconds = trade.t // 1000, defaultdict(list)
        seconds[trade.symbol].append(trade)
    yield from sorted(seconds.items())


def _bar(
    symbol: str, start_ms: int, trades: Iterable[Read], sums: list[int], opens: dict[str, float]
) -> Bar | None:
    """What the provider would send; None where no trade has an eligible price."""
    counted = [trade for trade in trades if trade.counts]
    priced = [trade.price / MILLION for trade in trades if trade.ends]
    volume = int(sum(trade.size for trade in counted))
    worth = int(sum(trade.price * trade.size for trade in counted))
    sums[0] += volume
    sums[1] += worth
    if not priced or not volume:
        return None
    return Bar(
        symbol,
        start_ms,
        priced[0],
        max(priced),
        min(priced),
        priced[-1],
        volume,
        sums[0],
        round(worth / volume / MILLION, 6),
        round(sums[1] / sums[0] / MILLION, 6),
        volume // len(counted),
        opens.setdefault(symbol, priced[0]),
    )


def expected_of(peak: BarPeak, closes: Mapping[str, float]) -> Answers:
    """Candles and quote records after the peak, clones included.

    Event time does not go back, so every correction is one of a ticker's newest bar: it
    replaces all that this bar said, the day's extremes included.
    """
    last: dict[tuple[str, int], Bar] = {}
    newest: dict[str, Bar] = {}
    for bar in peak.originals:
        last[bar.symbol, bar.start_ms] = newest[bar.symbol] = bar
    extremes: dict[str, tuple[float, float]] = {}
    for bar in last.values():
        high, low = extremes.get(bar.symbol, (bar.high, bar.low))
        extremes[bar.symbol] = max(high, bar.high), min(low, bar.low)
    minutes: dict[tuple[str, int], list[Bar]] = defaultdict(list)
    for (symbol, start_ms), bar in sorted(last.items()):
        minutes[symbol, start_ms // 60_000 * 60_000].append(bar)
    date = half_hour(peak.originals[0].start_ms // 1_800_000)[0]
    answers = Answers(peak.count, date, {}, {})
    for (symbol, start_ms), bars in minutes.items():
        for name in peak.names(symbol):
            rows = answers.candles.setdefault((date, name), {})
            rows[start_ms] = _candle(start_ms, bars)
    for symbol, bar in newest.items():
        row = _quote(bar, extremes[symbol], closes.get(symbol))
        answers.quotes |= {name: {**row, "symbol": name} for name in peak.names(symbol)}
    return answers


def _candle(start_ms: int, bars: list[Bar]) -> Values:
    return {
        "start_ms": start_ms,
        "open": bars[0].open,
        "high": max(bar.high for bar in bars),
        "low": min(bar.low for bar in bars),
        "close": bars[-1].close,
        "volume": sum(bar.volume for bar in bars),
        "closed": True,
        "gap": False,
    }


def _quote(bar: Bar, extremes: tuple[float, float], previous: float | None) -> Values:
    base = bar.official
    return {
        "volume": bar.volume,
        "vwap": bar.vwap,
        "high": bar.high,
        "low": bar.low,
        "average_size": bar.size,
        "accumulated_volume": bar.accumulated,
        "aggregate_vwap": bar.day_vwap,
        "official_open_price": bar.official,
        "open": base,
        "close": bar.close,
        "day_high": extremes[0],
        "day_low": extremes[1],
        "prev_day_close": previous,
        "pct_change": _percent(bar.close, previous),
        "pct_change_since_open": _percent(bar.close, base),
        "start_timestamp": bar.start_ms,
        "end_timestamp": bar.start_ms + 1000,
    }


def _percent(close: float, base: float | None) -> Any:
    return 100 * (close - base) / base if base else None
