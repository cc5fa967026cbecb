"""Which ticks are published, where, and which of them are in order."""

from tapewire.market.symbols import shard_of
from tapewire.model.events import TICK_IN_ORDER, TICK_INDEX, TICK_SNAPSHOT, TICK_TRADE, Tick
from tapewire.providers import tick_wire
from tapewire.services.tick_intake import TickIntake
from tests.services.indian import ms, tick


def marks(*ticks: Tick) -> list[bool]:
    """Which of some ticks of one shard come out as in order."""
    (piece,) = TickIntake(1).slices(ticks)
    return [bool(one.flags & TICK_IN_ORDER) for one in tick_wire.read(piece.payload, piece.count)]


def test_each_instrument_goes_to_the_shard_of_its_key() -> None:
    intake = TickIntake(4)
    frame = [tick(1.0, 1, token=str(n)) for n in range(50)]
    for _ in range(2):
        slices = intake.slices(frame)
        assert sum(one.count for one in slices) == 50
        for piece in slices:
            tokens = [one.token for one in tick_wire.read(piece.payload, piece.count)]
            assert {shard_of(f"NSE_FO:{token}", 4) for token in tokens} == {piece.shard.index}
            assert tokens == sorted(tokens, key=int)


def test_what_does_not_count_is_refused_by_reason_and_never_published() -> None:
    intake = TickIntake(1)
    good = tick(1.0, 5)
    wrong = [
        tick(None, 5),
        tick(0.0, 5),
        tick(float("inf"), 5),
        tick(1.0, 5, exchange=""),
        tick(1.0, 5, token=" "),
        tick(1.0, 5, 0),
    ]
    for frame in ([good, *wrong], [*wrong, good], wrong):
        slices = intake.slices(frame)
        assert [one.count for one in slices] == [1] * (good in frame)
    assert intake.refused == {
        "no_price": 3,
        "bad_price": 6,
        "empty_exchange": 3,
        "empty_token": 3,
        "bad_timestamp": 3,
    }


def test_spaces_in_a_token_become_underscores() -> None:
    (piece,) = TickIntake(1).slices([tick(1.0, None, token="Nifty 50")])
    assert tick_wire.read(piece.payload, 1)[0].token == "Nifty_50"


def test_the_newest_event_time_does_not_go_back() -> None:
    intake = TickIntake(1)
    intake.slices([tick(1.0, 1, "09:15:05"), tick(1.0, 2, "09:15:03")])
    intake.slices([tick(1.0, 3, "09:15:01")])
    assert intake.newest_ms == ms("09:15:05")


def test_ticks_are_in_order_while_time_and_volume_do_not_go_back() -> None:
    assert marks(
        tick(1.0, 10, "09:15:01"),  # the first: nothing is known before it
        tick(2.0, 20, "09:15:01"),
        tick(2.0, 20, "09:15:01.5"),
        tick(2.0, 30, "09:15:01"),  # older
        tick(3.0, 40, "09:15:02"),
        tick(3.0, 35, "09:15:02"),  # less volume, and not newer: late
        tick(3.0, 41, "09:15:02"),
    ) == [False, True, True, False, True, False, True]


def test_a_volume_that_begins_anew_is_in_order_once_the_fold_believes_it() -> None:
    assert marks(
        tick(1.0, 10, "09:15:01"),
        tick(1.0, 20, "09:15:02"),
        tick(1.0, 3, "09:15:03"),  # a fault, perhaps
        tick(1.0, 4, "09:15:04"),  # no: it began anew
        tick(1.0, 5, "09:15:04"),
    ) == [False, True, False, False, True]


def test_snapshots_are_never_in_order() -> None:
    assert marks(
        tick(1.0, 10), tick(1.0, 20, flags=TICK_SNAPSHOT), tick(1.0, 30, flags=TICK_TRADE)
    ) == [False, False, True]


def test_prices_without_volume_go_by_their_time() -> None:
    told = [(1.0, "09:15:02"), (2.0, "09:15:02"), (3.0, "09:15:01"), (2.0, "09:15:03")]
    index = [tick(price, None, at, flags=TICK_INDEX) for price, at in told]
    assert marks(*index) == [False, True, False, True]


def test_what_says_nothing_new_is_not_in_order() -> None:
    """The fold ignores it, so it must not stand for ticks that are left out."""
    one, index = (1.0, 10), (5.0, None)
    assert marks(tick(*one), tick(*one), tick(2.0, 10), tick(2.0, 10)) == [
        False,
        False,
        True,
        False,
    ]
    assert marks(tick(*index), tick(*index)) == [False, False]


def test_a_first_volume_is_not_in_order() -> None:
    assert marks(tick(1.0, None), tick(1.0, 10), tick(1.0, 11)) == [False, False, True]


def test_what_the_fold_may_refuse_as_too_late_is_not_in_order() -> None:
    intake = TickIntake(1)
    quiet = tick(1.0, 10, "09:15:01")
    intake.slices([quiet])
    intake.slices([tick(1.0, 1, "09:40", token="1")])
    (piece,) = intake.slices([tick(1.0, 20, "09:15:01"), tick(1.0, 30, "09:30:00")])
    flags = [one.flags for one in tick_wire.read(piece.payload, piece.count)]
    assert flags == [0, TICK_IN_ORDER]
