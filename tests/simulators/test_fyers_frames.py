"""What the simulator writes as Fyers is what the protocol reads."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.providers.fyers import requests
from tapewire.providers.fyers.protocol import FyersConnection, Reply
from tapewire.providers.fyers.records import ABSENT, Update
from tapewire.providers.fyers.requests import RequestType
from tapewire.simulators.fyers_frames import (
    SnapshotRecord,
    encode_data,
    encode_lite,
    encode_reply,
    encode_snapshot,
    encode_update,
    read_request,
)

TOPICS = tuple(f"sf|nse_fo|{number}" for number in range(8))
I32 = st.integers(-(2**31), 2**31 - 1)
VECTOR = st.tuples(*[I32 | st.just(ABSENT)] * 21)
TOPIC_ID = st.integers(0, len(TOPICS) - 1)


def snapshot(topic_id: int, values: Sequence[int]) -> bytes:
    name = TOPICS[topic_id]
    return encode_snapshot(SnapshotRecord(topic_id, name, values, 1, 2, "NSE", str(topic_id), name))


def connected() -> FyersConnection:
    connection = FyersConnection("KEY")
    connection.subscribe(TOPICS)
    return connection


def read(connection: FyersConnection, records: Sequence[bytes]) -> list[Update]:
    updates = connection.receive(encode_data(1, records))
    assert isinstance(updates, list)
    return updates


def price(values: Sequence[int]) -> float | None:
    return None if values[0] == ABSENT else values[0] / 100


@given(
    first=st.lists(VECTOR, min_size=8, max_size=8), changes=st.lists(st.tuples(TOPIC_ID, VECTOR))
)
def test_a_frame_reads_as_it_was_written(
    first: list[tuple[int, ...]], changes: list[tuple[int, tuple[int, ...]]]
) -> None:
    connection = connected()
    held = [price(values) for values in first]
    baseline = read(connection, [snapshot(*item) for item in enumerate(first)])
    assert [(u.topic.name, u.values, u.snapshot) for u in baseline] == [
        (TOPICS[topic_id], values, True) for topic_id, values in enumerate(first)
    ]
    for update, (topic_id, values) in zip(
        read(connection, [encode_update(*change) for change in changes]), changes, strict=True
    ):
        held[topic_id] = held[topic_id] if values[0] == ABSENT else price(values)
        assert (update.topic.name, update.values) == (TOPICS[topic_id], values)
        assert update.last_price == held[topic_id]
    assert not connection.faults


@given(raw=I32.filter(lambda raw: raw != ABSENT))
def test_a_lite_record_reads_as_it_was_written(raw: int) -> None:
    connection = connected()
    _, lite = read(connection, [snapshot(0, range(21)), encode_lite(0, raw)])
    assert lite.last_price == raw / 100


@given(records=st.lists(st.builds(encode_update, TOPIC_ID, VECTOR), max_size=3), data=st.data())
def test_a_frame_cut_anywhere_gives_its_whole_records(
    records: list[bytes], data: st.DataObject
) -> None:
    connection = connected()
    read(connection, [snapshot(topic_id, range(21)) for topic_id in range(len(TOPICS))])
    frame = encode_data(2, records)
    cut = data.draw(st.integers(9, len(frame)))
    updates = connection.receive(frame[:cut])
    assert isinstance(updates, list)
    assert len(updates) == (cut - 9) // 88
    assert connection.faults.total() == (cut < len(frame))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"\0\0\x06" + rest))
def test_any_bytes_are_read_or_counted(frame: bytes) -> None:
    connected().receive(frame)


def test_an_update_has_the_documented_bytes() -> None:
    assert encode_update(0x0700, [1, ABSENT]) == bytes.fromhex("55 0700 02 00000001 80000000")


def test_a_data_frame_has_the_documented_bytes() -> None:
    frame = encode_data(0x01020304, [encode_lite(0x0700, 5)])
    assert frame == bytes.fromhex("000e 06 01020304 0001 4c 0700 00000005")


def test_an_accepted_authentication_says_how_often_to_acknowledge() -> None:
    frame = encode_reply(RequestType.AUTH, ack_count=5)
    assert frame == bytes.fromhex("000d 01 02 01 0001 4b 02 0004 00000005")
    assert connected().receive(frame) == Reply(RequestType.AUTH, True, "K")


def test_a_request_is_read_field_by_field() -> None:
    request = read_request(requests.auth("KEY", "tw"))
    assert request.kind is RequestType.AUTH
    assert request.fields == {1: b"KEY", 2: b"P", 3: b"\x01", 4: b"tw"}
    with pytest.raises(ValueError, match="the fields end at"):
        read_request(requests.auth("KEY", "tw")[:-1])
