from collections.abc import Callable

import msgspec
import pytest

from benchmarks.frames import Recording, framed
from benchmarks.listener import differences, listen, routed
from benchmarks.peak import Peak
from tapewire.model.batch import Batch

Alter = Callable[[list[Batch]], list[Batch]]


@pytest.fixture(scope="module")
def frames(small_peak: Peak) -> list[bytes]:
    return small_peak.frames()


@pytest.mark.parametrize("shards", [1, 4])
def test_every_event_reaches_its_shard_once(
    small_peak: Peak, frames: list[bytes], shards: int
) -> None:
    expected = routed(small_peak.events(), shards)
    _, sink = listen(frames, shards)
    assert differences(sink.batches, expected) == []
    assert len(expected) == shards


def without_one(batches: list[Batch]) -> list[Batch]:
    return batches[:1] + batches[2:]


def twice(batches: list[Batch]) -> list[Batch]:
    return [*batches, batches[0]]


def elsewhere(batches: list[Batch]) -> list[Batch]:
    moved = msgspec.structs.replace(batches[0], shard=(batches[0].shard + 1) % 4)
    return [moved, *batches[1:]]


def miscounted(batches: list[Batch]) -> list[Batch]:
    return [msgspec.structs.replace(batches[0], count=batches[0].count + 1), *batches[1:]]


@pytest.mark.parametrize("alter", [without_one, twice, elsewhere, miscounted])
def test_an_altered_batch_is_noticed(small_peak: Peak, frames: list[bytes], alter: Alter) -> None:
    _, sink = listen(frames, 4)
    filled = [batch for batch in sink.batches if batch.count]
    assert differences(alter(filled), routed(small_peak.events(), 4))


def test_other_types_go_to_their_streams() -> None:
    events = [
        b'{"ev":"A","sym":"IBM","s":1,"e":2}',
        b'{"ev":"LULD","T":"BAC","t":1}',
        b'{"ev":"XX","sym":"IBM"}',
        b'{"ev":"Q","sym":"SPY","t":1}',
    ]
    frames = [*framed(events), b'[{"ev":"status","status":"success","message":"subscribed"}]', b"{"]
    expected = routed(Recording("mixed", frames).events(), 4)
    assert {stream for stream, _ in expected} == {"aggregate", "halts", "unknown", "quotes"}
    _, sink = listen(frames, 4)
    assert differences(sink.batches, expected) == []
