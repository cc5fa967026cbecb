"""Whatever the queue drops, repeats or delivers again: taken in = folded + lost, nothing twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.analyzers.bars import Recent
from tapewire.model.batch import encode_batch
from tapewire.model.positions import Position
from tests.properties.tapes import Tape, tapes
from tests.services.owner import Owner
from tests.services.producer import Producer


def batches(tape: Tape, sizes: list[int], producer: Producer) -> list[bytes]:
    """The tape in batches of these sizes (0 is a heartbeat), the rest in one."""
    bodies, left = [], list(tape.arrivals)
    for size in sizes:
        bodies.append(producer.deliver(*left[:size]))
        left = left[size:]
    return [*bodies, producer.deliver(*left, ending=True)]


SIZES = st.lists(st.integers(0, 6), max_size=10)


@given(st.data(), tapes(length=25), SIZES)
@settings(max_examples=60)
def test_redelivery_of_any_suffix_changes_nothing(
    data: st.DataObject, tape: Tape, sizes: list[int]
) -> None:
    once, again = Owner(), Owner()
    bodies = batches(tape, sizes, once.producer)
    once.take(*bodies)
    repeated = 0
    for place, body in enumerate(bodies, 1):
        again.take(body)
        if place < len(bodies) and data.draw(st.booleans()):
            suffix = bodies[data.draw(st.integers(0, place)) : place]
            again.take(*suffix)
            repeated += len(suffix)
    for owner in (once, again):
        owner.flush()
    assert again.store.public() == once.store.public()
    assert again.state.totals == once.state.totals
    assert again.state.positions.pack() == once.state.positions.pack()
    assert again.gaps == once.gaps == []
    assert again.state.refusals.duplicates <= repeated


@given(st.data(), tapes(length=25), SIZES)
@settings(max_examples=60)
def test_owners_that_crash_between_flush_and_acknowledgement_count_once(
    data: st.DataObject, tape: Tape, sizes: list[int]
) -> None:
    once, crashing = Owner(), Owner()
    bodies = batches(tape, sizes, once.producer)
    once.take(*bodies)
    once.flush()
    acknowledged, place = 0, 0
    for _ in range(6):
        place = data.draw(st.integers(acknowledged, len(bodies)))
        crashing.take(*bodies[acknowledged:place])
        if data.draw(st.booleans()):
            crashing.flush()
            if data.draw(st.booleans()):
                acknowledged = place
        crashing.crash()
    crashing.take(*bodies[acknowledged:])
    crashing.flush()
    assert crashing.store.public() == once.store.public()
    assert crashing.state.totals.events == once.state.totals.events
    assert crashing.state.skips() == once.state.skips()
    assert crashing.gaps == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),  # events of the batch
            st.sampled_from(["deliver", "deliver", "deliver", "lose", "repeat"]),
            st.integers(0, 12).map(lambda number: number == 0),  # the producer restarts
        ),
        max_size=40,
    ),
    st.integers(0, 40),
)
@settings(max_examples=200)
def test_taken_in_is_folded_plus_lost(plan: list[tuple[int, str, bool]], restart_at: int) -> None:
    owner, producer = Owner(), Producer()
    folded = 0
    seen: list[bytes] = []
    malformed = (b"{}",) * 5
    for place, (count, fate, producer_restarts) in enumerate(plan):
        if place == restart_at:
            owner.restart()
        if producer_restarts:
            producer.restart()
            folded = 0
        body = encode_batch(producer.batch(extra=malformed[:count]))
        if fate == "lose":
            continue
        owner.take(body, *(seen if fate == "repeat" else ()))
        seen.append(body)
        folded += count
        position = owner.state.positions.by_producer["mdl"]
        assert position == Position(producer.epoch, producer.taken_in, producer.taken_in - folded)
    owner.take(producer.heartbeat())
    assert producer.taken_in == owner.state.applied == folded + owner.state.lost


@given(st.lists(st.tuples(st.integers(0, 1_500), st.booleans()), max_size=12))
@settings(max_examples=100)
def test_the_window_of_sequences_survives_any_flushes_and_restarts(
    bursts: list[tuple[int, bool]],
) -> None:
    recent, stored, total = Recent(), dict[str, bytes](), 0
    for burst, restarts in bursts:
        recent.extend(list(range(total, total + burst)))
        total += burst
        stored.update(recent.drain("AAPL"))
        if restarts:
            recent = Recent.restore(stored.values())
        wanted = range(max(0, total - Recent.WINDOW), total)
        assert recent.sequences[-Recent.WINDOW :].tolist() == list(wanted)
        assert len(stored) <= Recent.CHUNKS
