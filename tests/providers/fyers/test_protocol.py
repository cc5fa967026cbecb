"""One connection to Fyers: authentication, subscriptions, acks and refusals."""

import pytest

from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.fyers import requests
from tapewire.providers.fyers.protocol import FyersConnection, Notice, Reply, notice_policy
from tapewire.providers.fyers.records import Update
from tapewire.providers.fyers.requests import Mode, RequestType
from tapewire.simulators.fyers_frames import (
    SnapshotRecord,
    encode_data,
    encode_lite,
    encode_notice,
    encode_reply,
    encode_snapshot,
    read_request,
    requested_topics,
)

RELIANCE = "sf|nse_cm|2885"
NIFTY = "if|nse_cm|Nifty 50"
SNAPSHOT = encode_snapshot(
    SnapshotRecord(7, RELIANCE, range(1, 22), 1, 2, "NSE", "2885", "NSE:RELIANCE-EQ")
)


def connected(*topics: str, ack_count: int = 0) -> FyersConnection:
    connection = FyersConnection("KEY")
    connection.subscribe(topics)
    connection.opened()
    connection.receive(encode_reply(RequestType.AUTH, ack_count=ack_count))
    connection.data_to_send()
    return connection


def test_the_key_goes_first_and_the_rest_after_it_was_accepted() -> None:
    connection = FyersConnection("KEY", mode=Mode.LITE, channel=3)
    connection.subscribe([RELIANCE, NIFTY, RELIANCE])
    assert connection.data_to_send() == []
    connection.opened()
    assert connection.data_to_send() == [requests.auth("KEY", "tapewire")]
    reply = connection.receive(bytes.fromhex("000c 01 02 01 0001 4b 02 0004 00000005"))
    assert reply == Reply(RequestType.AUTH, True, "K")
    mode, subscription = connection.data_to_send()
    assert mode == requests.mode(3, Mode.LITE)
    assert requested_topics(read_request(subscription)) == [RELIANCE, NIFTY]
    assert connection.data_to_send() == []


def test_a_refused_key_asks_for_another_and_nothing_is_subscribed() -> None:
    connection = FyersConnection("KEY")
    connection.subscribe([RELIANCE])
    connection.opened()
    connection.data_to_send()
    reply = connection.receive(encode_reply(RequestType.AUTH, "N"))
    assert reply == Reply(RequestType.AUTH, False, "N")
    assert isinstance(connection.policy, RefreshToken)
    assert not connection.authenticated
    assert connection.data_to_send() == []


def test_every_ack_count_data_frames_the_last_number_is_acknowledged() -> None:
    connection = connected(RELIANCE, ack_count=3)
    acks = []
    for number in range(101, 108):
        connection.receive(encode_data(number, []))
        acks.append(connection.data_to_send())
    third, sixth = requests.acknowledge(103), requests.acknowledge(106)
    assert acks == [[], [], [third], [], [], [sixth], []]


def test_nothing_is_acknowledged_where_the_server_does_not_ask_for_it() -> None:
    connection = connected(RELIANCE)
    for number in range(10):
        connection.receive(encode_data(number, []))
    assert connection.data_to_send() == []


def test_a_damaged_data_frame_is_acknowledged_all_the_same() -> None:
    connection = connected(RELIANCE, ack_count=1)
    assert connection.receive(encode_data(9, [SNAPSHOT[:-1]])) == []
    assert connection.faults == {"truncated": 1}
    assert connection.data_to_send() == [requests.acknowledge(9)]


def test_topic_ids_mean_nothing_on_another_connection() -> None:
    first, second = connected(RELIANCE), connected(RELIANCE)
    update = encode_data(2, [encode_lite(7, 500)])
    first.receive(encode_data(1, [SNAPSHOT]))
    (known,) = updates(first, update)
    assert known.last_price == 5.0
    assert updates(second, update) == []
    assert second.faults == {"unknown_topic": 1}


def updates(connection: FyersConnection, frame: bytes) -> list[Update]:
    received = connection.receive(frame)
    assert isinstance(received, list)
    return received


def test_topics_can_be_added_and_given_back() -> None:
    connection = connected(RELIANCE)
    connection.subscribe([NIFTY, RELIANCE])
    connection.unsubscribe([RELIANCE, "sf|nse_cm|1"])
    added, removed = map(read_request, connection.data_to_send())
    assert (added.kind, requested_topics(added)) == (RequestType.SUBSCRIBE, [NIFTY])
    assert (removed.kind, requested_topics(removed)) == (RequestType.UNSUBSCRIBE, [RELIANCE])
    assert updates(connection, encode_data(1, [SNAPSHOT])) == []
    assert connection.faults == {"not_subscribed": 1}


def test_more_topics_than_the_limit_are_refused_whole() -> None:
    connection = FyersConnection("KEY", max_topics=1)
    with pytest.raises(ValueError, match="2 topics, the limit is 1"):
        connection.subscribe([RELIANCE, NIFTY])
    connection.subscribe([NIFTY])


def test_the_answer_to_a_subscription_is_told() -> None:
    connection = connected(RELIANCE)
    reply = connection.receive(encode_reply(RequestType.SUBSCRIBE))
    assert reply == Reply(RequestType.SUBSCRIBE, True, "K")


def test_a_notice_is_told_with_its_code_and_cause() -> None:
    connection = connected(RELIANCE)
    notice = connection.receive(
        bytes.fromhex("0013 33 03 01 0004 0000c739 02 0004 66756c6c 03 0001 04")
    )
    assert notice == Notice(51001, "full", RequestType.SUBSCRIBE)
    assert connection.receive(encode_notice(-99, "expired", RequestType.AUTH)) == Notice(
        -99, "expired", RequestType.AUTH
    )


@pytest.mark.parametrize(
    ("code", "policy"),
    [(-99, RefreshToken), (-300, Fatal), (11001, RefreshToken), (51001, Fatal), (7, BackOff)],
)
def test_each_code_has_its_policy(code: int, policy: type) -> None:
    assert isinstance(notice_policy(code), policy)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("", "truncated"),
        ("0001", "truncated"),
        ("0001 06", "truncated"),
        ("0001 04", "truncated"),
        ("0007 04 01 01 0009 4b", "truncated"),
        ("0005 33 00", "truncated"),
        ("0005 33 01 01 0002 0001", "truncated"),
        ("0005 99 00", "unknown_type"),
        ("0005 03 00", "unknown_type"),
    ],
)
def test_a_frame_that_is_none_is_counted(written: str, fault: str) -> None:
    connection = connected(RELIANCE)
    assert connection.receive(bytes.fromhex(written)) == []
    assert connection.faults == {fault: 1}


def test_master_data_is_no_fault() -> None:
    connection = connected(RELIANCE)
    assert connection.receive(bytes.fromhex("0003 0d 0000")) == []
    assert not connection.faults
