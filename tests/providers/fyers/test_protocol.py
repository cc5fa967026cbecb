"""One connection to Fyers: authentication, subscriptions, acks, pings and refusals."""

import pytest

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import BrokerConnection
from tapewire.providers.disconnects import BackOff, Fatal, RefreshToken
from tapewire.providers.fyers import requests
from tapewire.providers.fyers.protocol import SILENT, FyersConnection
from tapewire.providers.fyers.requests import PING, Mode, RequestType
from tapewire.providers.fyers.wire import SnapshotRecord
from tapewire.simulators.fyers_frames import (
    encode_data,
    encode_lite,
    encode_notice,
    encode_reply,
    encode_snapshot,
    read_request,
    requested_topics,
)
from tests.providers.fyers.session import NIFTY, RELIANCE, connected, say, send

TOPIC = "sf|nse_cm|2885"
SNAPSHOT = encode_snapshot(
    SnapshotRecord(7, TOPIC, range(1, 22), 1, 2, "NSE", "2885", "NSE:RELIANCE-EQ")
)


def asked(connection: FyersConnection) -> list[tuple[RequestType, list[str]]]:
    """What was asked about which topics since the last look."""
    read = [read_request(one) for one in connection.data_to_send() if isinstance(one, bytes)]
    return [(request.kind, requested_topics(request)) for request in read]


def test_it_is_a_broker_connection() -> None:
    connection: BrokerConnection = FyersConnection("KEY", 0.0)
    assert not connection.authenticated
    connection.close()
    assert connection.data_to_send() == []


def test_the_key_goes_first_and_the_rest_after_it_was_accepted() -> None:
    connection = FyersConnection("KEY", 0.0, mode=Mode.LITE, channel=3)
    connection.subscribe([RELIANCE, NIFTY, RELIANCE])
    assert connection.data_to_send() == []
    connection.opened(0.0)
    assert connection.data_to_send() == [requests.auth("KEY", "tapewire")]
    assert say(connection, bytes.fromhex("000c 01 02 01 0001 4b 02 0004 00000005")) == []
    assert connection.authenticated
    mode, subscription = connection.data_to_send()
    assert mode == requests.mode(3, Mode.LITE)
    assert isinstance(subscription, bytes)
    assert requested_topics(read_request(subscription)) == [TOPIC, "if|nse_cm|Nifty 50"]
    assert connection.data_to_send() == []


def test_an_answer_to_the_key_with_a_short_count_and_master_data_is_read() -> None:
    connection = FyersConnection("KEY", 0.0)
    connection.opened(0.0)
    say(connection, bytes.fromhex("0010 01 03 01 0001 4b 02 0002 0002 03 0002 7b7d"))
    assert connection.authenticated
    assert connection.status()["ack_count"] == 2


def test_a_refused_key_asks_for_another_and_nothing_is_subscribed() -> None:
    connection = FyersConnection("KEY", 0.0)
    connection.subscribe([RELIANCE])
    connection.opened(0.0)
    connection.data_to_send()
    say(connection, encode_reply(RequestType.AUTH, "N"))
    assert connection.ending is not None
    assert connection.ending.reason == "token_refused"
    assert isinstance(connection.ending.policy, RefreshToken)
    assert not connection.authenticated
    assert connection.data_to_send() == []


def test_every_ack_count_data_frames_the_last_number_is_acknowledged() -> None:
    connection = connected(RELIANCE, ack_count=3)
    acks = []
    for number in range(101, 108):
        send(connection, [], number)
        acks.append(connection.data_to_send())
    third, sixth = requests.acknowledge(103), requests.acknowledge(106)
    assert acks == [[], [], [third], [], [], [sixth], []]


def test_nothing_is_acknowledged_where_the_server_does_not_ask_for_it() -> None:
    connection = connected(RELIANCE)
    for number in range(10):
        send(connection, [], number)
    assert connection.data_to_send() == []


def test_a_damaged_data_frame_is_acknowledged_all_the_same() -> None:
    connection = connected(RELIANCE, ack_count=1)
    assert send(connection, [SNAPSHOT[:-1]], 9) == []
    assert connection.faults == {"truncated": 1}
    assert connection.data_to_send() == [requests.acknowledge(9)]


def test_topic_ids_mean_nothing_on_another_connection() -> None:
    first, second = connected(RELIANCE), connected(RELIANCE)
    send(first, [SNAPSHOT])
    (known,) = send(first, [encode_lite(7, 500)])
    assert known.last_price == 5.0
    assert send(second, [encode_lite(7, 500)]) == []
    assert second.faults == {"unknown_topic": 1}


def test_instruments_can_be_added_and_given_back() -> None:
    connection = connected(RELIANCE)
    connection.due(1.0)
    connection.subscribe([NIFTY, RELIANCE])
    connection.unsubscribe([RELIANCE, Instrument(exchange="NYSE", token="1", symbol="X")])
    assert asked(connection) == [(RequestType.SUBSCRIBE, ["if|nse_cm|Nifty 50"])]
    connection.due(2.0)
    assert asked(connection) == [(RequestType.UNSUBSCRIBE, [TOPIC])]
    assert send(connection, [SNAPSHOT]) == []
    assert connection.faults == {"not_subscribed": 1}


def test_1500_instruments_go_out_every_half_second() -> None:
    many = [Instrument(exchange="NSE_FO", token=str(n), symbol=f"S{n}") for n in range(3_100)]
    connection = FyersConnection("KEY", 0.0)
    connection.subscribe(many)
    connection.opened(10.0)
    say(connection, encode_reply(RequestType.AUTH, ack_count=0), 10.0)
    connection.data_to_send()
    sent = [1_500]
    for now_s in (10.4, 10.6, 10.9, 11.2, 12.0):
        connection.due(now_s)
        sent.append(sum(len(topics) for _, topics in asked(connection)))
    assert sent == [1_500, 0, 1_500, 0, 100, 0]


def test_more_instruments_than_the_limit_are_refused_whole() -> None:
    connection = FyersConnection("KEY", 0.0, max_topics=1)
    with pytest.raises(ValueError, match="2 instruments, the limit is 1"):
        connection.subscribe([RELIANCE, NIFTY])
    connection.subscribe([NIFTY])


def test_an_exchange_that_fyers_does_not_have_is_refused_whole() -> None:
    connection = FyersConnection("KEY", 0.0)
    with pytest.raises(ValueError, match="no exchange 'NYSE'"):
        connection.subscribe([RELIANCE, Instrument(exchange="NYSE", token="1", symbol="X")])
    assert connection.status()["subscribed"] == 0


def test_what_has_come_is_proved() -> None:
    connection = connected(RELIANCE, NIFTY)
    assert connection.proved == 0
    send(connection, [SNAPSHOT, SNAPSHOT])
    assert connection.proved == 1
    assert [row.name for row in connection.references()] == ["RELIANCE", "RELIANCE"]
    connection.unsubscribe([RELIANCE])
    assert connection.proved == 0


def test_a_ping_goes_out_every_ten_seconds() -> None:
    connection = connected(RELIANCE)
    sent = []
    for second in range(1, 22):
        connection.heard(second)
        connection.due(second)
        sent += [(second, one) for one in connection.data_to_send()]
    assert sent == [(10, PING), (20, PING)]


def test_a_silent_connection_ends() -> None:
    connection = connected(RELIANCE)
    connection.heard(20.0)
    endings = []
    for now_s in (49.0, 50.0):
        connection.due(now_s)
        endings.append(connection.ending)
    assert endings == [None, SILENT]
    assert isinstance(SILENT.policy, BackOff)


def test_before_it_is_open_nothing_is_due() -> None:
    connection = FyersConnection("KEY", 0.0)
    connection.due(100.0)
    assert connection.ending is None
    assert connection.data_to_send() == []


@pytest.mark.parametrize(
    ("code", "policy"),
    [(-99, RefreshToken), (-300, Fatal), (11001, RefreshToken), (11011, BackOff), (51001, Fatal)],
)
def test_a_notice_with_a_code_that_matters_ends_the_connection(code: int, policy: type) -> None:
    connection = connected(RELIANCE)
    say(connection, encode_notice(code, "too\nbad", RequestType.SUBSCRIBE))
    assert connection.ending is not None
    assert (connection.ending.reason, connection.ending.detail) == (str(code), "too bad")
    assert isinstance(connection.ending.policy, policy)
    assert connection.status()["refusals"] == {str(code): 1}


@pytest.mark.parametrize("code", [200, 11012, 11031, 11032, 12001])
def test_a_notice_that_data_survives_is_counted(code: int) -> None:
    connection = connected(RELIANCE)
    say(connection, encode_notice(code, "", RequestType.MODE))
    assert connection.ending is None
    assert connection.status()["refusals"] == {str(code): 1}


@pytest.mark.parametrize(
    ("request_type", "reason"),
    [
        (RequestType.AUTH, "token_refused"),
        (RequestType.SUBSCRIBE, "subscription_refused"),
        (RequestType.PAUSE, None),
    ],
)
def test_an_unknown_notice_means_what_its_cause_does(
    request_type: RequestType, reason: str | None
) -> None:
    connection = connected(RELIANCE)
    say(connection, encode_notice(7, "?", request_type))
    assert (connection.ending and connection.ending.reason) == reason


def test_a_notice_has_the_documented_bytes() -> None:
    connection = connected(RELIANCE)
    say(connection, bytes.fromhex("0013 33 03 01 0004 0000c739 02 0004 66756c6c 03 0001 04"))
    assert connection.ending is not None
    assert (connection.ending.reason, connection.ending.detail) == ("51001", "full")


def test_the_first_reason_stands() -> None:
    connection = connected(RELIANCE)
    say(connection, encode_notice(51001, "", RequestType.SUBSCRIBE))
    say(connection, encode_notice(-99, "", RequestType.AUTH))
    assert connection.ending is not None
    assert connection.ending.reason == "51001"


@pytest.mark.parametrize(
    ("request_type", "ends"), [(RequestType.SUBSCRIBE, True), (RequestType.MODE, False)]
)
def test_a_refused_request_is_counted(request_type: RequestType, ends: bool) -> None:
    connection = connected(RELIANCE)
    say(connection, encode_reply(request_type, "N"))
    assert (connection.ending is not None) is ends
    assert connection.status()["refusals"] == {f"{request_type.name.lower()}_refused": 1}


def test_an_accepted_request_needs_nothing_more() -> None:
    connection = connected(RELIANCE)
    say(connection, encode_reply(RequestType.SUBSCRIBE))
    say(connection, encode_reply(RequestType.AUTH))
    assert connection.ending is None
    assert connection.data_to_send() == []


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
    assert say(connection, bytes.fromhex(written)) == []
    assert connection.faults == {fault: 1}


def test_a_text_message_is_counted() -> None:
    connection = connected(RELIANCE)
    assert say(connection, "hello") == []
    assert connection.faults == {"text": 1}


def test_master_data_is_no_fault() -> None:
    connection = connected(RELIANCE)
    assert say(connection, bytes.fromhex("0003 0d 0000")) == []
    assert not connection.faults


def test_nothing_of_a_connection_shows_its_key() -> None:
    connection = FyersConnection("SECRETKEY", 0.0)
    assert "SECRETKEY" not in f"{connection!r} {connection.status()}"


def test_a_full_frame_of_updates_of_one_second_keeps_its_order() -> None:
    connection = connected(RELIANCE)
    send(connection, [SNAPSHOT])
    ticks = say(connection, encode_data(2, [encode_lite(7, raw) for raw in range(1, 51)]))
    assert [tick.last_price for tick in ticks] == [raw / 100 for raw in range(1, 51)]
