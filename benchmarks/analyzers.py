"""``analyzers``: every built-in analyzer on, one processor on one core.

Timed like ``fold``'s peak, from batches in memory to the flush that holds the last row, once
for trades and once for provider aggregates; quote records, boards and candles of every
interval, daily ranges with their alerts, top trades, largest prints and time and sales. Then
the flushes by themselves (``flushes.py``).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import redis

from benchmarks import answers, flushes, fold, machine
from benchmarks.bars import BarPeak, expected_of, make_bar_peak
from benchmarks.batches import bodies_of
from benchmarks.fit import fit
from benchmarks.oracle import MILLION, Answers, Values, half_hour, read
from benchmarks.peak import Peak
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard, Stream
from tapewire.services.analysis import Analysis
from tests.servers import RedisServer

NAME: Final = "analyzers"
AGGREGATES: Final = Shard(Stream.AGGREGATE, 0)
AGGREGATES_PREFIX: Final = "{aggregate.0}:"
FIRST_GUESS: Final = 200_000.0
RANKED: Final = 50

_unpack = msgspec.msgpack.decode


def run(plan: Plan) -> Iterator[Row]:
    """Trades, then aggregates, then what a flush costs."""
    with fold.redis_on_the_other_core(plan.folder) as server:
        yield trades_row(plan, server)
        yield aggregates_row(plan, server)
        yield from flush_rows(plan, server)


def trades_row(plan: Plan, server: RedisServer) -> Row:
    """The peak of ``fold`` with everything on."""
    analysis = Analysis.of(["T.*"])

    def once(peak: Peak) -> float:
        rows = fold.references(peak, fold.previous_closes(peak))
        return fold.timed(bodies_of(peak.frames()), server, rows, analysis=analysis).rate

    say(f"{NAME}: finding the speed to make event time for")
    peak = fit(plan, FIRST_GUESS, once)
    say(f"{NAME}: {fold.described(plan.recording, peak)}")
    closes = fold.previous_closes(peak)
    expected, rows = fold.expected_of(peak, closes), fold.references(peak, closes)
    bodies = bodies_of(peak.frames())
    timings, wrong = [], []
    for _ in plan.counted(f"{NAME}, trades"):
        timings.append(fold.timed(bodies, server, rows, analysis=analysis))
        wrong += answers.differences(server.url, expected)
        wrong += [*range_differences(server.url, answers.SHARD, expected)]
        wrong += [*ranking_differences(server.url, peak)]
    fold.tell(NAME, timings, peak.events_per_second)
    complain(NAME, wrong)
    reference = fold.reference_rate(plan, bodies)
    return Row.of(NAME, "trades_per_second", fold.middle(timings), reference, wrong)


def aggregates_row(plan: Plan, server: RedisServer) -> Row:
    """The same seconds as the provider's own bars."""
    analysis = Analysis.of(["A.*"])
    closes = fold.previous_closes_of(plan.recording)

    def folded(peak: BarPeak) -> fold.Timing:
        bodies = bodies_of(peak.frames(), AGGREGATES)
        return fold.timed(
            bodies, server, references(peak, closes), shard=AGGREGATES, analysis=analysis
        )

    say(f"{NAME}: finding the speed to make event time for")
    rate = folded(make_bar_peak(plan.recording, int(FIRST_GUESS), FIRST_GUESS)).rate
    rate = folded(make_bar_peak(plan.recording, int(rate * plan.seconds), rate)).rate
    peak = make_bar_peak(plan.recording, int(1.25 * rate * plan.seconds), rate)
    say(f"{NAME}: {peak.count:,} bars of {plan.recording.label}, cloned × {peak.clones}")
    expected = expected_of(peak, closes)
    bodies = bodies_of(peak.frames(), AGGREGATES)
    timings, wrong = [], []
    for _ in plan.counted(f"{NAME}, aggregates"):
        timings.append(folded(peak))
        wrong += answers.differences(server.url, expected, AGGREGATES_PREFIX)
        wrong += [*range_differences(server.url, AGGREGATES_PREFIX, expected)]
    fold.tell(NAME, timings, peak.events_per_second)
    complain(NAME, wrong)
    reference = fold.reference_rate(plan, bodies)
    return Row.of(NAME, "aggregates_per_second", fold.middle(timings), reference, wrong)


def flush_rows(plan: Plan, server: RedisServer) -> Iterator[Row]:
    """A flush of 5,000 quote records with its share of a second's candles, and with all of them."""
    say(f"{NAME}: flushes of {flushes.SYMBOLS:,} quote records")
    runs, wrong = [], []
    for _ in plan.counted(f"{NAME}, flushes"):
        run, differences = flushes.measured(server, max(2, round(plan.seconds)))
        runs.append(run)
        wrong += differences
    complain(NAME, wrong)
    for metric, times in (
        ("flush_ms", [run.mean_ms for run in runs]),
        ("flush_after_cut_ms", [run.after_cut_ms for run in runs]),
    ):
        yield Row(NAME, metric, round(machine.median(times)), "ms", 0, not wrong)


def references(peak: BarPeak, closes: Mapping[str, float]) -> list[Reference]:
    """Reference rows of every ticker of the peak."""
    date = half_hour(peak.originals[0].start_ms // 1_800_000)[0]
    return [
        Reference(name, date, prev_day_close=close, avg_volume=1e6)
        for symbol, close in closes.items()
        for name in peak.names(symbol)
    ]


def range_differences(url: str, prefix: str, expected: Answers) -> Iterator[str]:
    """Daily ranges against the day's extremes: the peak lies in the regular session."""
    with redis.Redis.from_url(url, protocol=2) as store:
        rows: Any = store.hgetall(f"{prefix}daily_range:{expected.date}")
    found = {symbol.decode(): _unpack(packed) for symbol, packed in rows.items()}
    for symbol, row in expected.quotes.items():
        if row["day_high"] is None:
            continue
        said = found.get(symbol)
        wanted = [row["day_high"], row["day_low"]] * 2
        got = [said[2], said[4], said[10], said[12]] if said else None
        if got != wanted:
            yield f"daily_range {symbol}: {got}, expected {wanted}"


def ranking_differences(url: str, peak: Peak) -> Iterator[str]:
    """Every window's three rankings by sums: the whole peak lies inside the shortest window."""
    totals = {symbol: _total(peak, symbol) for symbol in fold.previous_closes(peak)}
    date = half_hour(peak.originals[0].trade["t"] // 1_800_000)[0]
    with redis.Redis.from_url(url, protocol=2) as store:
        rows: Any = store.hgetall(f"{answers.SHARD}top_trades:{date}")
    for window in ("1m", "5m", "15m", "1h", "1d"):
        for metric in ("trades", "volume", "value"):
            packed = rows.get(f"{window}:{metric}".encode())
            found = [row[1:6] for row in _unpack(packed)] if packed else None
            wanted = _ranked(peak, totals, metric)
            if found is None or not _alike(found, wanted):
                yield f"top_trades:{window}:{metric}: {str(found)[:100]}, expected {wanted[:2]}"


def _total(peak: Peak, symbol: str) -> Values:
    trades = [read(one.trade) for one in peak.originals if one.trade["sym"] == symbol]
    counted = [trade for trade in trades if trade.counts]
    return {
        "trades": len(counted),
        "volume": sum(trade.size for trade in counted),
        "value": sum(trade.price * trade.size for trade in counted) / MILLION,
    }


def _ranked(peak: Peak, totals: Mapping[str, Values], metric: str) -> list[list[Any]]:
    lines = [
        [name, one["trades"], one["volume"], one["value"], one["value"] / one["volume"]]
        for symbol, one in totals.items()
        if one["volume"]
        for name in fold.names_of(peak, symbol)
    ]
    at = 1 + ("trades", "volume", "value").index(metric)
    return sorted(lines, key=lambda line: (-line[at], line[0]))[:RANKED]


def _alike(found: list[list[Any]], wanted: list[list[Any]]) -> bool:
    return len(found) == len(wanted) and all(
        answers.same(one, other)
        for line, expected in zip(found, wanted, strict=True)
        for one, other in zip(line, expected, strict=True)
    )
