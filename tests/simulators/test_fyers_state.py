"""A simulated topic's records, by the table of fields."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.fyers.wire import (
    ABSENT,
    INDEX_FIELDS,
    SYMBOL_FIELDS,
    VECTORS,
    Field,
    named_values,
    read_snapshot,
)
from tapewire.simulators.fyers_state import TopicWriter
from tests.simulators.fyers_market import NIFTY, RELIANCE, made_tick


def written(record: bytes, fields: tuple[Field, ...]) -> dict[str, float | int]:
    values = VECTORS[len(fields)].unpack_from(record, 4)
    assert len(record) == 4 + 4 * len(fields) == 4 + 4 * record[3]
    return named_values(fields, 100, values)


def test_an_update_has_what_has_changed() -> None:
    writer = TopicWriter(7, "sf|nse_cm|2885", RELIANCE, 11)
    writer.snapshot(made_tick(RELIANCE, 0), 1459.5)
    assert written(writer.update(made_tick(RELIANCE, 1)), SYMBOL_FIELDS) == {
        "last_price": 1460.05,
        "day_volume": 101,
        "last_trade_time_s": 1_795_146_301,
        "feed_time_s": 1_795_146_301,
    }


def test_a_repeated_tick_is_written_whole() -> None:
    writer = TopicWriter(7, "sf|nse_cm|2885", RELIANCE, 11)
    first, second = (writer.update(made_tick(RELIANCE, 0)) for _ in range(2))
    assert first == second
    assert written(first, SYMBOL_FIELDS)["last_size"] == 5


def test_a_snapshot_has_the_previous_close_before_the_first_tick() -> None:
    record, _ = read_snapshot(TopicWriter(7, "if|x|y", NIFTY, 11).snapshot(None, 26_000.5), 0)
    assert named_values(INDEX_FIELDS, 100, record.values) == {"previous_close": 26_000.5}


def test_an_index_has_its_value_and_time() -> None:
    writer = TopicWriter(7, "if|nse_cm|Nifty 50", NIFTY, 11)
    assert written(writer.update(made_tick(NIFTY, 4)), INDEX_FIELDS) == {
        "last_price": 26_004.0,
        "feed_time_s": 1_795_146_304,
    }


def test_a_volume_past_2_31_is_written_unsigned() -> None:
    writer = TopicWriter(7, "sf|nse_cm|2885", RELIANCE, 11)
    tick = Tick("", "NSE_EQ", "2885", "", 1.0, 1, 2**31 + 1, None, 1000, 0)
    assert written(writer.update(tick), SYMBOL_FIELDS)["day_volume"] == 2**31 + 1


COUNT = st.none() | st.integers(0, 2**31 - 1)
TICK = st.builds(
    Tick,
    *map(st.just, ("", "NSE_EQ", "2885", "")),
    st.none() | st.integers(1, 2**31 - 1).map(lambda raw: raw / 100),
    st.integers(0, 2**31 - 1),
    COUNT,
    COUNT,
    st.integers(0, 2**31 - 1).map(lambda second: second * 1000),
    st.just(0),
)


@given(st.lists(TICK, min_size=1, max_size=8))
def test_updates_add_up_to_the_last_of_everything(ticks: list[Tick]) -> None:
    one = Instrument(exchange="NSE_EQ", token="2885", symbol="RELIANCE")
    writer = TopicWriter(7, "sf|nse_cm|2885", one, 11)
    held: dict[str, float | int] = {}
    for tick in ticks:
        held |= written(writer.update(tick), SYMBOL_FIELDS)
        said = {"last_size": tick.last_size, "last_trade_time_s": tick.timestamp_ms // 1000}
        assert said.items() <= held.items()
    for name, values in (
        ("last_price", [tick.last_price for tick in ticks]),
        ("day_volume", [tick.day_volume for tick in ticks]),
        ("open_interest", [tick.open_interest for tick in ticks]),
    ):
        assert held.get(name) == next((v for v in reversed(values) if v is not None), None)
    assert ABSENT not in held.values()
