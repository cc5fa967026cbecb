"""Effectively once: what becomes of a batch by its epoch and offset."""

from tapewire.model.batch import Batch
from tapewire.model.positions import Missing, Position, Positions, Verdict
from tapewire.model.streams import Stream


def batch(offset: int, count: int, epoch: int = 5, producer: str = "mdl") -> Batch:
    return Batch("massive", Stream.TRADES, 0, producer, epoch, offset, count, 0)


def test_the_next_batch_is_folded() -> None:
    positions = Positions()
    assert positions.accept(batch(0, 10)) == (Verdict.FOLD, None)
    assert positions.accept(batch(10, 5)) == (Verdict.FOLD, None)
    assert positions.by_producer == {"mdl": Position(5, 15, 0)}


def test_a_batch_again_is_a_duplicate() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    assert positions.accept(batch(0, 10)) == (Verdict.DUPLICATE, None)
    assert positions.accept(batch(5, 10)) == (Verdict.DUPLICATE, None)
    assert positions.by_producer == {"mdl": Position(5, 10, 0)}


def test_a_hole_is_a_gap_of_exactly_its_events() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    assert positions.accept(batch(17, 3)) == (
        Verdict.GAP_THEN_FOLD,
        Missing(10, 17, 7, "lost"),
    )
    assert positions.by_producer == {"mdl": Position(5, 20, 7)}


def test_a_heartbeat_shows_a_loss_before_a_silence() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    assert positions.accept(batch(10, 0)) == (Verdict.FOLD, None)
    assert positions.accept(batch(12, 0)) == (Verdict.GAP_THEN_FOLD, Missing(10, 12, 2, "lost"))
    assert positions.accept(batch(12, 0)) == (Verdict.FOLD, None)


def test_the_first_batch_of_a_producer_shows_what_was_before_it() -> None:
    positions = Positions()
    assert positions.accept(batch(4, 2)) == (Verdict.GAP_THEN_FOLD, Missing(0, 4, 4, "lost"))
    assert positions.by_producer == {"mdl": Position(5, 6, 4)}


def test_a_newer_epoch_is_a_gap_of_unknown_size() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    verdict, missing = positions.accept(batch(3, 2, epoch=6))
    assert verdict is Verdict.GAP_THEN_FOLD
    assert missing == Missing(0, 3, None, "new epoch")
    assert positions.by_producer == {"mdl": Position(6, 5, 3)}


def test_an_older_epoch_is_refused() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    assert positions.accept(batch(10, 10, epoch=4)) == (Verdict.OLD_EPOCH, None)
    assert positions.by_producer == {"mdl": Position(5, 10, 0)}


def test_producers_are_counted_apart() -> None:
    positions = Positions()
    positions.accept(batch(0, 10))
    assert positions.accept(batch(0, 4, epoch=1, producer="other")) == (Verdict.FOLD, None)
    assert positions.by_producer["mdl"].applied == 10
    assert positions.by_producer["other"].applied == 4


def test_positions_survive_packing() -> None:
    positions = Positions()
    positions.accept(batch(3, 10))
    positions.accept(batch(0, 4, epoch=2**41, producer="other"))
    assert Positions.unpack(positions.pack()).by_producer == positions.by_producer
    assert Positions.unpack({}).by_producer == {}
