"""Late trades from before the turn of the day are compared with their own day's sequences."""

from tapewire.analyzers.bars import Recent
from tapewire.analyzers.day_before import DayBefore
from tapewire.model.events import Trade


def trade(sequence: int, symbol: str = "AIG") -> Trade:
    return Trade(symbol, 50.0, 100, 1_000, (), sequence)


def ended_with(*sequences: int) -> DayBefore:
    recent = Recent()
    recent.extend([*sequences])
    recent.note(max(sequences))
    return DayBefore("2024-01-08", {"AIG": recent}, ["AIG"])


def test_a_trade_of_the_ended_day_is_repeated_and_a_new_one_is_not() -> None:
    before = ended_with(1, 2, 4)
    assert not before.keep(trade(2))
    assert before.keep(trade(3))
    assert not before.keep(trade(3))
    assert before.keep(trade(2, "IBM"))


def test_kept_trades_are_settled_once_and_still_known() -> None:
    before = ended_with(1, 2, 4)
    before.keep(trade(3))
    before.drain()
    before.settle()
    (field,) = before.drain()
    assert field.startswith("AIG:")
    before.settle()
    assert before.drain() == {}
    assert not before.keep(trade(3))


def test_what_the_store_lacks_at_the_turn_is_written_after_it() -> None:
    before = ended_with(1, 2, 4)
    (field,) = before.drain()
    assert field.startswith("AIG:")
    assert before.drain() == {}
    before.renew()
    assert list(before.drain()) == [field]
    before.forget()
    assert before.keep(trade(4))
