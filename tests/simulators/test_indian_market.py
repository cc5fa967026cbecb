"""The made-up Indian market: what is listed, its day's shape, its prices, its determinism."""

from collections import Counter
from itertools import islice

import pytest

from tapewire.market.instruments import EXCHANGES, InstrumentKind
from tapewire.market.price_grid import PriceGrid
from tapewire.market.sessions import SessionCalendar
from tapewire.model.events import TICK_INDEX, Tick
from tapewire.simulators.indian_market import IndianGenerator
from tapewire.simulators.sources import SourceError, TimedTick

DAY = SessionCalendar.load("XNSE").day("2026-11-20")


@pytest.fixture(scope="module")
def market() -> IndianGenerator:
    return IndianGenerator(seed=7, at="09:00", rate=4)


@pytest.fixture(scope="module")
def day(market: IndianGenerator) -> list[TimedTick]:
    """All ticks of a thinned-out day."""
    return [tick for ticks in islice(market.slices(), 6 * 3600 + 1800) for tick in ticks]


def test_every_kind_of_instrument_is_listed_under_a_known_exchange(market: IndianGenerator) -> None:
    listed = market.instruments
    assert 300 <= len(listed) <= 500
    assert {one.kind for one in listed.values()} == set(InstrumentKind)
    assert {one.exchange for one in listed.values()} < set(EXCHANGES)
    assert all(key == one.key for key, one in listed.items())
    assert listed["NSE_EQ:2885"].symbol == listed["BSE_EQ:500325"].symbol == "RELIANCE"
    assert listed["NSE_INDEX:Nifty_50"].symbol == "NIFTY"


def test_the_same_number_names_different_things_on_two_exchanges(market: IndianGenerator) -> None:
    nifty, sensex = market.instruments["NSE_FO:8765"], market.instruments["BSE_FO:8765"]
    assert (nifty.symbol, sensex.symbol) == ("NIFTY26NOVFUT", "SENSEX26NOVFUT")


def test_derivatives_expire_on_sessions_and_not_before_the_day(market: IndianGenerator) -> None:
    expiries = {one.expiry for one in market.instruments.values() if one.expiry}
    calendar = SessionCalendar.load("XNSE")
    assert min(expiries) >= DAY.date
    assert all(calendar.day(expiry).is_session for expiry in expiries)
    assert "2026-11-23" in expiries  # the 24th, a Tuesday, is a holiday


def test_strikes_lie_around_the_underlying(market: IndianGenerator) -> None:
    spot = market.previous_close("NSE_INDEX:Nifty_50")
    strikes = [
        one.strike
        for one in market.instruments.values()
        if one.underlying == "NIFTY" and one.strike
    ]
    assert min(strikes) < spot < max(strikes)
    assert max(strikes) - min(strikes) < 0.1 * spot


def test_only_shares_trade_before_the_open_and_little(day: list[TimedTick]) -> None:
    early = [tick for time_ms, _, tick in day if time_ms < DAY.open_ms]
    assert 0 < len(early) < len(day) / 200
    assert {tick.exchange for tick in early} <= {"NSE_EQ", "BSE_EQ"}


def test_activity_is_a_u_over_the_session_and_ends_with_it(day: list[TimedTick]) -> None:
    trades = [time_ms for time_ms, _, tick in day if not tick.flags & TICK_INDEX]
    hours = Counter((time_ms - DAY.open_ms) // 1_875_000 for time_ms in trades)
    assert hours[0] > 1.5 * hours[6]
    assert hours[11] > 1.1 * hours[6] > 0
    assert max(trades) < DAY.close_ms


def test_names_are_as_active_as_their_rank(day: list[TimedTick]) -> None:
    counted = Counter(key for _, key, tick in day if tick.exchange == "NSE_EQ")
    assert counted["NSE_EQ:2885"] > 5 * counted["NSE_EQ:20121"] > 0


def test_ticks_are_in_order_on_the_grid_and_volumes_only_grow(day: list[TimedTick]) -> None:
    assert [time_ms for time_ms, _, _ in day] == sorted(time_ms for time_ms, _, _ in day)
    grid, volumes = PriceGrid(0.05), dict[str, int]()
    for time_ms, key, tick in day:
        assert tick.timestamp_ms == time_ms
        assert tick.last_price == grid.nearest(tick.last_price or 0.0) > 0
        if tick.flags & TICK_INDEX:
            assert (tick.day_volume, tick.last_size) == (None, 0)
            continue
        assert tick.day_volume == volumes.get(key, 0) + tick.last_size
        volumes[key] = tick.day_volume


def test_derivatives_trade_in_lots_and_have_open_interest(
    market: IndianGenerator, day: list[TimedTick]
) -> None:
    for _, key, tick in day[:20_000]:
        instrument = market.instruments[key]
        assert (tick.open_interest is not None) is bool(instrument.expiry)
        if instrument.expiry:
            assert tick.last_size % instrument.lot_size == 0


def test_a_future_follows_its_index_and_puts_and_calls_agree(day: list[TimedTick]) -> None:
    last: dict[str, Tick] = {tick.symbol: tick for _, _, tick in day if tick.exchange != "BSE_EQ"}
    spot, future = last["NIFTY"].last_price or 0, last["NIFTY26NOVFUT"].last_price or 0
    assert abs(future / spot - 1) < 0.01


def test_a_previous_close_is_the_close_of_the_session_before() -> None:
    before = IndianGenerator(seed=7, date="2026-11-19", at="15:29", rate=50, until="end")
    closes = {key: tick.last_price for ticks in before.slices() for _, key, tick in ticks}
    after = IndianGenerator(seed=7, date="2026-11-20")
    for key in ("NSE_EQ:2885", "NSE_INDEX:Nifty_50"):
        assert closes[key] == pytest.approx(after.previous_close(key), rel=0.002)


def test_a_second_is_the_same_wherever_a_generator_began() -> None:
    def seen(at: str, skip: int) -> list[tuple[int, str, float | None, int]]:
        market = IndianGenerator(seed=3, at=at)
        market.skip(skip)
        return [
            (time_ms, key, tick.last_price, tick.last_size)
            for ticks in islice(market.slices(), 3)
            for time_ms, key, tick in ticks
        ]

    assert seen("10:00", 0) == seen("09:59", 60) != seen("10:01", 0)


def test_a_market_that_begins_in_the_middle_has_traded_already() -> None:
    late = IndianGenerator(at="13:00")
    first = next(tick for _, key, tick in next(late.slices()) if key == "NSE_FO:8765")
    assert (first.day_volume or 0) > 100 * first.last_size


def test_the_night_is_skipped_and_volumes_begin_again() -> None:
    market = IndianGenerator(at="15:29:59", rate=100)
    slices = market.slices()
    yesterday = next(slices)[-1]
    close = market.previous_close(yesterday[1])
    tomorrow = next(ticks for ticks in slices if ticks)[0]
    assert tomorrow[0] >= SessionCalendar.load("XNSE").next_session(DAY.date).pre_ms
    assert tomorrow[2].day_volume == tomorrow[2].last_size
    assert market.previous_close(yesterday[1]) != close


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"date": "2026-11-21"}, "no session in India; the next one is 2026-11-23"),
        ({"date": "1999-01-01"}, "outside the XNSE calendar"),
        ({"at": "15:30"}, "from 09:00 until 15:30"),
        ({"at": "noon"}, "HH:MM"),
        ({"at": "10:00", "until": "09:30"}, "not after the beginning"),
        ({"rate": 0.0}, "more than 0"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_reason(
    options: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        IndianGenerator(**options)  # type: ignore[arg-type]
