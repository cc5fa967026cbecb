"""Decoding of batches: every event once, or left out and counted with its reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.events import Aggregate, Luld, Quote, Trade
from tapewire.model.streams import Stream
from tapewire.providers.massive.protocol import Decoded, decode
from tapewire.providers.massive.wire import BadValueError, milliseconds, newest_ms
from tests.providers.massive.events import AT_MS, bar, batch, luld, quote, trade


def only(decoded: Decoded) -> Any:
    assert decoded.skipped == {}
    (event,) = decoded.events
    return event


def trades(*events: bytes) -> Decoded:
    return decode(batch(Stream.TRADES, *events))


def test_a_trade_carries_the_models_names() -> None:
    event = only(trades(trade("BRK.B", p=114.125, s=100, c=[0, 12], q=7, x=4)))
    assert isinstance(event, Trade)
    assert (event.symbol, event.price, event.size) == ("BRK.B", 114.125, 100)
    assert (event.conditions, event.sequence, event.exchange) == ((0, 12), 7, 4)
    assert event.timestamp_ms == AT_MS


def test_a_trade_without_conditions_is_regular() -> None:
    assert only(trades(trade())).conditions == ()


def test_a_missing_side_of_a_quote_is_zero() -> None:
    event = only(decode(batch(Stream.QUOTES, quote(bp=0, ap=10.1))))
    assert isinstance(event, Quote)
    assert (event.bid, event.ask) == (0.0, 10.1)


def test_second_and_minute_bars_differ_by_their_length() -> None:
    second, minute = decode(
        batch(Stream.AGGREGATE, bar(), bar(event_type="AM", e=AT_MS + 60_000))
    ).events
    assert isinstance(second, Aggregate)
    assert isinstance(minute, Aggregate)
    assert second.end_timestamp - second.start_timestamp == 1_000
    assert minute.end_timestamp - minute.start_timestamp == 60_000


@pytest.mark.parametrize(
    "sent", [1_788_877_046_310_003_385, 1_788_877_046_310_003, 1_788_877_046_310]
)
def test_luld_times_are_read_by_magnitude(sent: int) -> None:
    event = only(decode(batch(Stream.HALTS, luld("ATHR", t=sent))))
    assert isinstance(event, Luld)
    assert (event.symbol, event.timestamp_ms, event.indicators) == (
        "ATHR",
        1_788_877_046_310,
        (17,),
    )


def test_a_halt_may_come_without_price_bands() -> None:
    event = only(decode(batch(Stream.HALTS, luld("ATHR", t=AT_MS * 1_000_000, h=0, l=0, i=[17]))))
    assert isinstance(event, Luld)
    assert (event.high, event.low, event.indicators) == (0.0, 0.0, (17,))


@pytest.mark.parametrize("sent", [AT_MS * 1000, AT_MS * 1_000_000, AT_MS // 1000])
def test_a_trades_time_in_another_unit_is_read_too(sent: int) -> None:
    assert only(trades(trade(t=sent))).timestamp_ms == AT_MS


def test_integers_that_arrive_as_floats_are_integers() -> None:
    whole = b'{"ev":"T","sym":"A","p":1,"s":100.0,"t":1.3811526e12,"q":5.0,"c":[12.0],"x":null}'
    event = only(trades(whole))
    values = (event.size, event.timestamp_ms, event.sequence, event.exchange)
    assert values == (100, AT_MS, 5, 0)
    assert [type(value) for value in values] == [int] * 4
    assert event.conditions == (12,)


def test_a_fraction_of_a_share_stays_a_fraction() -> None:
    assert only(trades(trade(s=0.5))).size == 0.5


def test_a_fractional_average_size_is_taken_as_it_is() -> None:
    assert only(decode(batch(Stream.AGGREGATE, bar(z=62.5)))).average_size == 62.5


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (trade(without=["p"]), "missing_field"),
        (trade(without=["sym"]), "missing_field"),
        (trade(p="high"), "wrong_type"),
        (trade(p=None), "wrong_type"),
        (b"7", "wrong_type"),
        (b"null", "wrong_type"),
        (trade(p=0), "bad_value"),
        (trade(p=-1), "bad_value"),
        (trade(s=-1), "bad_value"),
        (trade(t=0), "bad_value"),
        (trade(t=1), "bad_value"),
        (trade(t=9_000_000_000_000), "bad_value"),
        (trade("A" * 33), "bad_value"),
        (trade("").replace(b"49.18", b"1e999"), "bad_value"),
        (quote(), "wrong_event"),
        (trade().replace(b"AIG", b"\xff\xfe"), "malformed"),
        (trade("A B"), "bad_symbol"),
        (trade("ZVZZT"), "test_symbol"),
        (trade("NTEST.Q"), "test_symbol"),
    ],
)
def test_one_bad_event_loses_one_event(bad: bytes, reason: str) -> None:
    decoded = trades(trade("AIG", q=1), bad, trade("IBM", q=2))
    assert [event.symbol for event in decoded.events if isinstance(event, Trade)] == ["AIG", "IBM"]
    assert decoded.skipped == {reason: 1}


def test_a_payload_that_is_not_json_is_counted_whole() -> None:
    assert trades(trade(), b'{"ev":"T"') == Decoded([], {"malformed": 2})


def test_a_heartbeat_holds_nothing() -> None:
    assert trades() == Decoded([], {})


def test_events_of_unknown_types_are_counted() -> None:
    assert decode(batch(Stream.UNKNOWN, b'{"ev":"X"}')) == Decoded([], {"unknown_event": 1})


_anything = st.one_of(
    st.builds(lambda q: trade(q=q), st.integers(0, 10**9)),
    st.builds(lambda p: trade(p=p), st.one_of(st.none(), st.floats(-1, 1), st.text(max_size=3))),
    st.builds(lambda t: trade(t=t), st.integers(-(10**20), 10**20)),
    st.builds(lambda s: trade(s=s), st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(trade, st.text(max_size=40)),
    st.sampled_from([b"[]", b"{}", b"null", b'"x"', quote(), b'{"ev":3}']),
)


@given(st.lists(_anything, min_size=1, max_size=12))
def test_every_event_is_decoded_or_counted(events: list[bytes]) -> None:
    decoded = trades(*events)
    assert len(decoded.events) + sum(decoded.skipped.values()) == len(events)
    for event in decoded.events:
        assert isinstance(event, Trade)
        assert type(event.timestamp_ms) is int
        assert event.price > 0


def test_times_outside_two_centuries_are_refused() -> None:
    with pytest.raises(BadValueError, match="outside 2000 to 2100"):
        milliseconds(5e9)


def test_the_newest_time_is_that_of_the_last_event() -> None:
    assert newest_ms(trade() + b"," + trade(t=AT_MS + 5)) == AT_MS + 5
    assert newest_ms(bar()) == AT_MS + 999
    assert newest_ms(b"") is None
