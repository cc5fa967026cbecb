"""What the simulator writes as Fyers is what the protocol reads."""

from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_SNAPSHOT, Tick
from tapewire.providers.fyers import requests
from tapewire.providers.fyers.protocol import FyersConnection
from tapewire.providers.fyers.requests import RequestType
from tapewire.providers.fyers.segments import topic_of
from tapewire.providers.fyers.wire import (
    ABSENT,
    SYMBOL_FIELDS,
    SnapshotRecord,
    named_values,
    read_snapshot,
)
from tapewire.simulators.fyers_frames import (
    encode_data,
    encode_lite,
    encode_reply,
    encode_snapshot,
    encode_update,
    read_request,
)

INSTRUMENTS = tuple(
    Instrument(exchange="NSE_FO", token=str(number), symbol=f"S{number}") for number in range(8)
)
I32 = st.integers(-(2**31), 2**31 - 1)
VECTOR = st.tuples(*[I32 | st.just(ABSENT)] * 21)
TOPIC_ID = st.integers(0, len(INSTRUMENTS) - 1)
MADE_OF = ("last_price", "day_volume", "last_trade_time_s", "last_size", "open_interest")


def snapshot(topic_id: int, values: Sequence[int]) -> bytes:
    one = INSTRUMENTS[topic_id]
    said = SnapshotRecord(topic_id, topic_of(one), values, 1, 2, "NSE", one.token, one.symbol)
    return encode_snapshot(said)


def connected() -> FyersConnection:
    connection = FyersConnection("KEY", 0.0)
    connection.subscribe(INSTRUMENTS)
    return connection


def read(connection: FyersConnection, records: Sequence[bytes]) -> list[Tick]:
    return connection.receive(encode_data(1, records), 5, 0.0)


class Model:
    """What an instrument is now, by the field table: slow, and another way than the decoder's."""

    def __init__(self, topic_id: int) -> None:
        self.one = INSTRUMENTS[topic_id]
        self.held: dict[str, float | int] = {}

    def take(self, values: Sequence[int], flags: int = 0) -> list[Tick]:
        carried = named_values(SYMBOL_FIELDS, 100, values)
        self.held |= carried
        if "last_price" not in self.held or not set(MADE_OF) & set(carried):
            return []
        get = self.held.get
        size, ms = int(get("last_size", 0)), int(get("last_trade_time_s", 0)) * 1000
        volume, interest = self.count("day_volume"), self.count("open_interest")
        named = ("fyers", "NSE_FO", self.one.token, self.one.symbol)
        return [Tick(*named, self.held["last_price"], size, volume, interest, ms, 5, flags)]

    def count(self, name: str) -> int | None:
        return int(self.held[name]) if name in self.held else None


@given(
    first=st.lists(VECTOR, min_size=8, max_size=8), changes=st.lists(st.tuples(TOPIC_ID, VECTOR))
)
def test_a_frame_reads_as_it_was_written(
    first: list[tuple[int, ...]], changes: list[tuple[int, tuple[int, ...]]]
) -> None:
    connection, models = connected(), [Model(topic_id) for topic_id in range(8)]
    baseline = read(connection, [snapshot(*item) for item in enumerate(first)])
    taken = (models[topic_id].take(values, TICK_SNAPSHOT) for topic_id, values in enumerate(first))
    assert baseline == list(chain.from_iterable(taken))
    ticks = read(connection, [encode_update(*change) for change in changes])
    taken = (models[topic_id].take(values) for topic_id, values in changes)
    assert ticks == list(chain.from_iterable(taken))
    assert set(connection.faults) <= {"no_price"}


@given(VECTOR, st.integers(0, 2**16 - 1), st.integers(1, 2**16 - 1), st.integers(0, 9))
def test_a_snapshot_reads_as_it_was_written(
    values: tuple[int, ...], topic_id: int, multiplier: int, precision: int
) -> None:
    texts = ("sf|nse_cm|2885", "NSE", "2885", "NSE:RELIANCE-EQ")
    said = SnapshotRecord(topic_id, texts[0], values, multiplier, precision, *texts[1:])
    written = encode_snapshot(said)
    assert read_snapshot(b"\xff" + written, 1) == (
        said._replace(topic_id=topic_id),
        len(written) + 1,
    )


@given(raw=I32.filter(lambda raw: raw != ABSENT))
def test_a_lite_record_reads_as_it_was_written(raw: int) -> None:
    connection = connected()
    _, lite = read(connection, [snapshot(0, range(21)), encode_lite(0, raw)])
    assert lite.last_price == raw / 100


WHOLE = st.tuples(*[st.integers(0, 2**31 - 1)] * 21)


@given(changes=st.lists(st.tuples(TOPIC_ID, WHOLE), max_size=3), data=st.data())
def test_a_frame_cut_anywhere_gives_its_whole_records(
    changes: list[tuple[int, tuple[int, ...]]], data: st.DataObject
) -> None:
    connection, uncut = connected(), connected()
    baselines = [snapshot(topic_id, range(21)) for topic_id in range(len(INSTRUMENTS))]
    read(connection, baselines)
    read(uncut, baselines)
    records = [encode_update(*change) for change in changes]
    frame = encode_data(2, records)
    cut = data.draw(st.integers(9, len(frame)))
    whole = (cut - 9) // 88
    assert connection.receive(frame[:cut], 5, 0.0) == read(uncut, records[:whole])
    assert connection.faults.total() == (cut < len(frame))


@given(
    VECTOR,
    st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"\0\0\x06" + rest),
)
def test_any_bytes_are_read_or_counted_and_data_goes_on(
    values: tuple[int, ...], rubbish: bytes
) -> None:
    connection, model = connected(), Model(0)
    connection.receive(rubbish, 5, 0.0)
    expected = model.take(values, TICK_SNAPSHOT)
    assert read(connection, [snapshot(0, values)]) == expected
    assert read(connection, [encode_update(0, values)]) == model.take(values)


def test_an_update_has_the_documented_bytes() -> None:
    assert encode_update(0x0700, [1, ABSENT]) == bytes.fromhex("55 0700 02 00000001 80000000")


def test_a_data_frame_has_the_documented_bytes() -> None:
    frame = encode_data(0x01020304, [encode_lite(0x0700, 5)])
    assert frame == bytes.fromhex("000e 06 01020304 0001 4c 0700 00000005")


def test_an_accepted_authentication_says_how_often_to_acknowledge() -> None:
    frame = encode_reply(RequestType.AUTH, ack_count=5)
    assert frame == bytes.fromhex("000d 01 02 01 0001 4b 02 0004 00000005")


def test_a_request_is_read_field_by_field() -> None:
    request = read_request(requests.auth("KEY", "tw"))
    assert request.kind is RequestType.AUTH
    assert request.fields == {1: b"KEY", 2: b"P", 3: b"\x01", 4: b"tw"}
    with pytest.raises(ValueError, match="the fields end at"):
        read_request(requests.auth("KEY", "tw")[:-1])
