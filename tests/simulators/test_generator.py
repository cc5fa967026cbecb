"""The made-up market: its day's shape, its bars, its determinism."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

import pytest

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.generator import GeneratorSource, parse_generator
from tapewire.simulators.sources import Slice, SourceError

Event = dict[str, Any]

DAY = SessionCalendar.load("XNYS").day("2026-11-20")
NEVER_IN_VOLUME = {15, 16, 38}
NEVER_IN_PRICES = {2, 7, 15, 16, 20, 21, 29, 37, 52, 53}
NEVER_IN_OPEN_CLOSE = NEVER_IN_PRICES | {5, 10, 22, 32, 33}


def parsed(slices: Iterable[Slice]) -> list[Event]:
    return [json.loads(text) for events in slices for _, _, text in events]


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event["ev"] == kind]


@pytest.fixture(scope="module")
def source() -> GeneratorSource:
    """A day of 5,000 tickers, thinned out."""
    return GeneratorSource(seed=7, symbols=5000, at="04:00", rate=15)


@pytest.fixture(scope="module")
def day(source: GeneratorSource) -> list[Event]:
    """All events of that day."""
    return parsed(islice(source.slices(), 16 * 3600 + 1))


@pytest.fixture(scope="module")
def trades(day: list[Event]) -> list[Event]:
    return of_kind(day, "T")


def test_activity_is_a_u_over_the_session(trades: list[Event]) -> None:
    crosses = {8, 15, 16, 17, 19, 25}
    half_hours = Counter(
        (trade["t"] - DAY.open_ms) // 1_800_000
        for trade in trades
        if crosses.isdisjoint(trade.get("c", ()))
    )
    assert half_hours[0] > 2 * half_hours[6]
    assert half_hours[12] > 1.3 * half_hours[6]
    assert half_hours[6] > half_hours[-5] > 0  # pre-market
    assert half_hours[6] > half_hours[20] > 0  # post-market


def test_the_top_one_percent_of_symbols_has_a_third_of_the_trades(trades: list[Event]) -> None:
    by_symbol = Counter(trade["sym"] for trade in trades)
    top = sum(count for _, count in by_symbol.most_common(50))
    assert top >= 0.3 * len(trades)


def test_at_least_twenty_symbols_gap_more_than_ten_percent(
    source: GeneratorSource, trades: list[Event]
) -> None:
    before = source.reference.daily_bars("2026-11-19")
    opens = {one["sym"]: one["p"] for one in trades if {17, 25} & set(one.get("c", ()))}
    gaps = [abs(price / before[symbol].close - 1) for symbol, price in opens.items()]
    assert len(opens) == 5000
    assert sum(gap > 0.1 for gap in gaps) >= 20


def test_five_symbols_are_halted_and_do_not_trade_until_they_reopen(day: list[Event]) -> None:
    halts = of_kind(day, "LULD")
    begins = {one["T"]: one["t"] // 1_000_000 for one in halts if one["i"] == [17]}
    ends = {one["T"]: one["t"] // 1_000_000 for one in halts if one["i"] == [18]}
    assert len(begins) == 5
    assert begins.keys() == ends.keys()
    for symbol, begin in begins.items():
        times = [one["t"] for one in of_kind(day, "T") if one["sym"] == symbol]
        assert not [time for time in times if begin <= time < ends[symbol]]
        assert [time for time in times if time >= ends[symbol]]


def test_prices_are_whole_cents_and_odd_lots_are_marked(trades: list[Event]) -> None:
    assert all(abs(one["p"] * 100 - round(one["p"] * 100)) < 1e-6 for one in trades)
    odd = [one for one in trades if one["s"] < 100]
    assert all(37 in one["c"] for one in odd)
    assert 0.2 < len(odd) / len(trades) < 0.6


def test_crosses_print_at_open_and_close_with_their_official_prices(trades: list[Event]) -> None:
    times: defaultdict[int, list[int]] = defaultdict(list)
    for one in trades:
        if len(one.get("c", ())) == 1:
            times[one["c"][0]].append(one["t"])
    assert len(times[17]) + len(times[25]) == len(times[16]) == 5000
    assert len(times[8]) + len(times[19]) == len(times[15]) == 5000
    opening, closing = times[17] + times[25] + times[16], times[8] + times[19] + times[15]
    assert all(0 <= time - DAY.open_ms <= 31_000 for time in opening)
    assert all(0 <= time - DAY.close_ms <= 21_000 for time in closing)


def test_form_t_marks_every_ordinary_trade_outside_the_session(trades: list[Event]) -> None:
    for one in trades:
        conditions = set(one.get("c", ()))
        outside = not DAY.open_ms <= one["t"] < DAY.close_ms
        assert (12 in conditions) == (outside and conditions.isdisjoint({8, 15, 19}))


def test_sequences_grow_with_time_for_each_symbol(day: list[Event]) -> None:
    for kind in ("T", "Q"):
        last: dict[str, tuple[int, int]] = {}
        for one in of_kind(day, kind):
            place = (one["t"], one["q"])
            assert last.get(one["sym"], (0, 0)) < place
            assert last.get(one["sym"], (0, 0))[1] < one["q"]
            last[one["sym"]] = place


@pytest.mark.parametrize(("kind", "length_ms"), [("A", 1000), ("AM", 60_000)])
def test_bars_equal_the_trades_that_were_sent(
    day: list[Event], trades: list[Event], kind: str, length_ms: int
) -> None:
    """Recomputed here, by rules written out again."""
    buckets: defaultdict[tuple[str, int], list[Event]] = defaultdict(list)
    for one in trades:
        buckets[one["sym"], one["t"] // length_ms * length_ms].append(one)
    expected = {key: bar for key, some in buckets.items() if (bar := bar_of(some))}
    bars = {
        (one["sym"], one["s"]): (one["o"], one["h"], one["l"], one["c"], one["v"], one["vw"])
        for one in of_kind(day, kind)
    }
    assert bars == expected


def bar_of(trades: list[Event]) -> tuple[float, ...] | None:
    def without(conditions: set[int]) -> list[Event]:
        return [one for one in trades if conditions.isdisjoint(one.get("c", ()))]

    ends, extremes = without(NEVER_IN_OPEN_CLOSE), without(NEVER_IN_PRICES)
    counted = without(NEVER_IN_VOLUME)
    if not ends:
        return None
    volume = sum(one["s"] for one in counted)
    value = sum(one["p"] * one["s"] for one in counted)
    high, low = max(one["p"] for one in extremes), min(one["p"] for one in extremes)
    return ends[0]["p"], high, low, ends[-1]["p"], volume, round(value / volume, 4)


def test_day_volume_grows_by_every_eligible_trade_and_the_open_is_official(
    day: list[Event],
) -> None:
    symbol = Counter(one["sym"] for one in of_kind(day, "T")).most_common(1)[0][0]
    volume, opened = 0, None
    own = [one for one in day if one.get("sym") == symbol]
    bars = {one["s"]: one for one in of_kind(own, "A")}
    last_second = 0
    for one in of_kind(own, "T"):
        second = one["t"] // 1000 * 1000
        if second != last_second and last_second in bars:
            assert bars[last_second]["av"] == volume
            assert bars[last_second].get("op") == opened
        last_second = second
        conditions = set(one.get("c", ()))
        if conditions & {17, 25}:
            opened = one["p"]
        if conditions.isdisjoint(NEVER_IN_VOLUME):
            volume += one["s"]


def test_it_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def events(seed: int) -> list[Slice]:
        return list(islice(GeneratorSource(seed=seed, symbols=200, rate=100).slices(), 30))

    assert events(3) == events(3)
    assert events(3) != events(4)


def test_a_second_has_the_same_trades_wherever_the_generator_began() -> None:
    def trades_at_noon(at: str) -> list[Event]:
        slices = GeneratorSource(symbols=300, at=at, rate=200).slices()
        noon_ms = DAY.open_ms + 9_000_000
        trades = of_kind(parsed(islice(slices, 65)), "T")
        return [one for one in trades if noon_ms <= one["t"] < noon_ms + 3000]

    assert trades_at_noon("11:59") == trades_at_noon("11:59:58")
    assert trades_at_noon("11:59")


def test_beginning_at_noon_finds_a_day_that_is_under_way() -> None:
    source = GeneratorSource(symbols=300, at="12:00", rate=200)
    bars = of_kind(parsed(islice(source.slices(), 5)), "A")
    assert all(bar["op"] > 0 and bar["av"] > bar["v"] for bar in bars)


def test_the_next_session_follows_the_last_second_of_the_day() -> None:
    source = GeneratorSource(symbols=100, date="2026-11-25", at="19:59:57", rate=2000)
    calendar = SessionCalendar.load("XNYS")
    days = {
        calendar.trading_date(time)
        for events in islice(source.slices(), 120)
        for time, _, _ in events
    }
    assert days == {"2026-11-25", "2026-11-27"}  # Thanksgiving between


def test_closes_are_where_the_next_session_starts_from(source: GeneratorSource) -> None:
    market = source.market
    friday, monday = market.day("2026-11-20"), market.day("2026-11-23")
    assert monday.previous_closes == friday.closes
    bars = source.reference.daily_bars("2026-11-20")
    assert [bars[one.symbol].close for one in market.listings] == friday.closes
    assert source.reference.daily_bars("2026-11-21") == {}


def test_reference_rows_have_names_and_floats(source: GeneratorSource) -> None:
    rows = source.reference.tickers()
    assert [row.symbol for row in rows] == sorted(source.symbols)
    assert all(row.name and row.free_float and row.primary_exchange for row in rows)


def test_average_volume_fits_what_is_sent(source: GeneratorSource, trades: list[Event]) -> None:
    sent: Counter[str] = Counter()
    for one in trades:
        sent[one["sym"]] += one["s"]
    usual = source.reference.daily_bars("2026-11-19")
    busiest = [symbol for symbol, _ in sent.most_common(50)]
    ratio = sum(sent[one] for one in busiest) / sum(usual[one].volume for one in busiest)
    assert 0.5 < ratio < 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sed=1", "option 'sed=1' is wrong; expected of seed=, symbols="),
        ("symbols=many", "option 'symbols=many'"),
        ("symbols=0", "expected 1 to"),
        ("date=2026-11-21", "no session; the next one is 2026-11-23"),
        ("date=tomorrow", "date=tomorrow"),
        ("at=03:59", "at=03:59 is not"),
        ("at=20:00", "at=20:00 is not"),
        ("rate=0", "expected more than 0"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(options: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse_generator(options)


def test_options_and_a_seed_from_outside_are_read() -> None:
    assert parse_generator("symbols=50,at=10:00:30", seed=9).name == (
        "generator:seed=9,symbols=50,date=2026-11-20,at=10:00:30,rate=1500"
    )
    assert parse_generator("seed=2,symbols=50", seed=9).market.seed == 2
