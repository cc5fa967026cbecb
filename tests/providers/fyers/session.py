"""A conversation with Fyers in few words: instruments, and a connection that was let in."""

from collections.abc import Sequence

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.providers.fyers.protocol import FyersConnection
from tapewire.providers.fyers.requests import RequestType
from tapewire.simulators.fyers_frames import encode_data, encode_reply
from tests.instruments import equity, index

RELIANCE = equity("RELIANCE", "2885", broker_key="NSE:RELIANCE-EQ")
NIFTY = index("NIFTY50", "Nifty_50")
RECEIVED_NS = 1_700_000_000_123_456_789


def connected(*instruments: Instrument, ack_count: int = 0) -> FyersConnection:
    """A connection on which the key was accepted at second 0, with its first requests sent."""
    connection = FyersConnection("KEY", 0.0)
    connection.subscribe(instruments)
    connection.opened(0.0)
    say(connection, encode_reply(RequestType.AUTH, ack_count=ack_count))
    connection.data_to_send()
    return connection


def say(connection: FyersConnection, frame: bytes | str, now_s: float = 0.0) -> list[Tick]:
    """Let the connection receive one message."""
    return connection.receive(frame, RECEIVED_NS, now_s)


def send(connection: FyersConnection, records: Sequence[bytes], number: int = 1) -> list[Tick]:
    """Let the connection receive one data frame."""
    return say(connection, encode_data(number, records))
