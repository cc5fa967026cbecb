"""The events that analyzers fold."""

from msgspec.structs import fields

from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, TICK_TRADE, Tick


def test_a_tick_is_spelled_as_every_broker_protocol_spells_it() -> None:
    names = [field.name for field in fields(Tick)]
    expected = "broker exchange token symbol last_price last_size day_volume open_interest"
    assert " ".join(names) == f"{expected} timestamp_ms received_ns flags"


def test_the_flags_of_a_tick_can_be_told_apart_in_a_sum() -> None:
    every = TICK_SNAPSHOT | TICK_INDEX | TICK_TRADE
    assert every == TICK_SNAPSHOT + TICK_INDEX + TICK_TRADE
