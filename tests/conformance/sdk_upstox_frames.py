"""Runs in the environment of ``upstox-python-sdk``: a line of JSON in, a line out.

``{"read": HEX}`` is answered with what the SDK's streamer makes of the frame, None where it
refuses; ``{"write": MESSAGE}`` with the bytes of a message given in protobuf's JSON form.
"""

import json
import sys
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from upstox_client.feeder.market_data_streamer_v3 import MarketDataStreamerV3
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as wire


def read(frame: bytes) -> Any:
    """What a listener of the streamer is given for a frame."""
    given: list[Any] = []
    streamer = MarketDataStreamerV3()
    streamer.on("message", given.append)
    try:
        streamer.handle_message(None, frame)
    except DecodeError:
        return None
    return given[0]


def answer(question: dict[str, Any]) -> Any:
    """The answer to one question."""
    if "read" in question:
        return read(bytes.fromhex(question["read"]))
    message = ParseDict(question["write"], wire.FeedResponse())
    return message.SerializeToString().hex()


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
