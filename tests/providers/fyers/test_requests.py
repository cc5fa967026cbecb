"""The frames that a client sends to Fyers, byte by byte."""

import pytest

from tapewire.providers.fyers import requests
from tapewire.providers.fyers.requests import (
    MAX_TOPIC_BYTES,
    PING,
    Mode,
    RequestType,
    topic_requests,
)
from tapewire.simulators.fyers_frames import read_request, requested_topics


def test_the_authentication_has_the_documented_bytes() -> None:
    frame = requests.auth("KEY", "tw")
    assert frame == bytes.fromhex(
        "0015 01 04  01 0003 4b4559  02 0001 50  03 0001 01  04 0002 7477".replace(" ", "")
    )
    assert int.from_bytes(frame[:2], "big") == 16 + len("KEY") + len("tw")


def test_a_mode_has_the_documented_bytes() -> None:
    assert requests.mode(11, Mode.FULL) == bytes.fromhex(
        "0000 0c 02 01 0008 0000000000000800 02 0001 46"
    )
    assert requests.mode(1, Mode.LITE) == bytes.fromhex(
        "0000 0c 02 01 0008 0000000000000002 02 0001 4c"
    )


@pytest.mark.parametrize("channel", [0, 64])
def test_a_channel_outside_the_mask_is_refused(channel: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 63"):
        requests.mode(channel, Mode.FULL)


def test_an_acknowledgement_is_eleven_bytes() -> None:
    assert requests.acknowledge(0x01020304) == bytes.fromhex("0009 03 01 01 0004 01020304")


def test_a_ping_is_three_bytes() -> None:
    assert bytes.fromhex("00010b") == PING


def test_a_subscription_has_the_documented_bytes() -> None:
    (frame,) = topic_requests(RequestType.SUBSCRIBE, ["sf|nse_cm|2885"], 11)
    assert frame == bytes.fromhex(
        "001a 04 02 01 0011 0001 0e 73667c6e73655f636d7c32383835 02 0001 0b"
    )


def test_a_long_list_goes_out_in_frames_of_1500_topics() -> None:
    topics = [f"sf|nse_fo|{number}" for number in range(3_100)]
    read = [read_request(frame) for frame in topic_requests(RequestType.UNSUBSCRIBE, topics, 11)]
    assert [len(requested_topics(request)) for request in read] == [1_500, 1_500, 100]
    assert [topic for request in read for topic in requested_topics(request)] == topics
    assert {request.kind for request in read} == {RequestType.UNSUBSCRIBE}


def test_long_names_make_frames_that_their_length_can_say() -> None:
    topics = [f"if|nse_cm|{number:0200}" for number in range(1_000)]
    frames = topic_requests(RequestType.SUBSCRIBE, topics, 11)
    assert [topic for frame in frames for topic in requested_topics(read_request(frame))] == topics
    assert max(map(len, frames)) < MAX_TOPIC_BYTES + 50


def test_a_name_that_its_length_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 to 255 bytes"):
        topic_requests(RequestType.SUBSCRIBE, ["x" * 256], 11)
