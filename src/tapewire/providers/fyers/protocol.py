"""Fyers' data socket without I/O: frames in, requests and acks out, one connection's state.

A frame is big-endian: u16 length, u8 type. A data frame holds records, and a record means
something only through the snapshot that introduced its topic id on this connection: name,
price scale, and the values that a later record leaves out. Whatever is received is
therefore decoded here, and forgotten with the connection.

Source: the official client's data socket. Two things differ from it: open interest is
kept, and a record of an unknown topic is stepped over.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.fyers import requests
from tapewire.providers.fyers.records import Fault, Records, Update
from tapewire.providers.fyers.requests import DEFAULT_CHANNEL, FIELD_HEAD, Mode, RequestType

MAX_TOPICS: Final = 5_000
"""Topics of one API key; the plan may allow fewer (notice 51001)."""

DATA: Final = 6
MASTER_DATA: Final = 13
NOTICE: Final = 51
ACCEPTED: Final = b"K"

DATA_HEAD: Final = struct.Struct(">HBIH")
I32: Final = struct.Struct(">i")

NOTICES: Final[Mapping[int, Policy]] = {
    -99: RefreshToken("the access token has expired, or a limit is exceeded"),
    -300: Fatal("Fyers refused the request as invalid: check the symbols"),
    11001: RefreshToken("authentication failed: provide a new access token"),
    11011: BackOff(advice="a subscription failed"),
    11012: BackOff(advice="a subscription could not be given back"),
    12001: BackOff(advice="the mode could not be set"),
    51001: Fatal("more symbols than the plan allows: subscribe to fewer"),
}
"""What follows a notice or refusal, by code."""

REFUSED: Final = RefreshToken("Fyers refused the key: provide a new access token")


def notice_policy(code: int) -> Policy:
    """What to do after a notice; one that is not documented backs off."""
    return NOTICES.get(code, BackOff(advice=f"Fyers gave the code {code}, which is not documented"))


class Reply(Struct, frozen=True):
    """The answer to a request; ``text`` is what stood in place of the acceptance."""

    request: RequestType
    accepted: bool
    text: str


class Notice(Struct, frozen=True):
    """Something Fyers wants to say; ``code`` is a key of ``NOTICES``, ``request`` its cause."""

    code: int
    message: str
    request: int


def _tlv(frame: bytes, at: int) -> dict[int, bytes]:
    """The fields of a reply or notice, by id."""
    count, at = frame[at], at + 1
    found = {}
    for _ in range(count):
        number, length = FIELD_HEAD.unpack_from(frame, at)
        at += FIELD_HEAD.size
        if at + length > len(frame):
            raise IndexError(f"a field ends at {at + length}, the frame at {len(frame)}")
        found[number] = frame[at : at + length]
        at += length
    return found


class FyersConnection:
    """One connection, from the open socket to its end. A new socket needs a new one.

    ``faults`` counts what could not be used, by ``Fault``; it may be shared by successive
    connections. ``policy`` says what follows, once a refusal has ended the connection's use.
    ``source`` is this client's name as the server sees it.
    """

    def __init__(
        self,
        hsm_key: str,
        *,
        mode: Mode = Mode.FULL,
        channel: int = DEFAULT_CHANNEL,
        source: str = "tapewire",
        max_topics: int = MAX_TOPICS,
        faults: Counter[str] | None = None,
    ) -> None:
        self.faults: Counter[str] = Counter() if faults is None else faults
        self.authenticated = False
        self.policy: Policy | None = None
        self._auth = requests.auth(hsm_key, source)
        self._mode = requests.mode(channel, mode)
        self._channel = channel
        self._max_topics = max_topics
        self._wanted: dict[str, None] = {}
        self._records = Records(self._wanted, self.faults)
        self._ack_count = 0
        self._unacknowledged = 0
        self._out: list[bytes] = []
        self._frames: Mapping[int, Callable[[bytes], list[Update] | Reply | Notice]] = {
            DATA: self._data,
            NOTICE: self._notice,
            **dict.fromkeys(set(RequestType) - {RequestType.ACK}, self._reply),
        }

    def opened(self) -> None:
        """The socket is open: the client speaks first."""
        self._out.append(self._auth)

    def data_to_send(self) -> list[bytes]:
        """Binary messages to send now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for topics (``sf|nse_cm|2885``, ``if|nse_cm|Nifty 50``); held ones are not repeated.

        Raises ``ValueError``, and asks for nothing, beyond the limit of topics.
        """
        new = [topic for topic in dict.fromkeys(topics) if topic not in self._wanted]
        total = len(self._wanted) + len(new)
        if total > self._max_topics:
            raise ValueError(f"{total} topics, the limit is {self._max_topics}: ask for fewer")
        frames = requests.topic_requests(RequestType.SUBSCRIBE, new, self._channel)
        self._wanted.update(dict.fromkeys(new))
        if self.authenticated:
            self._out += frames

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Give topics back and forget their ids; unknown ones are ignored."""
        gone = {topic: None for topic in topics if topic in self._wanted}
        for topic in gone:
            del self._wanted[topic]
        self._records.forget()
        if self.authenticated:
            self._out += requests.topic_requests(RequestType.UNSUBSCRIBE, gone, self._channel)

    def receive(self, frame: bytes) -> list[Update] | Reply | Notice:
        """What one message says; answers and acks lie in ``data_to_send`` afterwards."""
        kind = frame[2] if len(frame) > 2 else None
        if kind is None or kind == MASTER_DATA:
            return self._nothing(Fault.TRUNCATED if kind is None else None)
        read = self._frames.get(kind)
        if read is None:
            return self._nothing(Fault.UNKNOWN_TYPE)
        try:
            return read(frame)
        except (IndexError, struct.error):
            return self._nothing(Fault.TRUNCATED)

    def _nothing(self, fault: str | None) -> list[Update]:
        if fault is not None:
            self.faults[fault] += 1
        return []

    def _reply(self, frame: bytes) -> Reply:
        fields = _tlv(frame, 3)
        text = fields.get(1, b"")
        reply = Reply(RequestType(frame[2]), text == ACCEPTED, text.decode("utf-8", "replace"))
        if reply.request is RequestType.AUTH:
            self._on_auth(reply, fields.get(2, b""))
        return reply

    def _on_auth(self, reply: Reply, ack_count: bytes) -> None:
        if not reply.accepted:
            self.policy = REFUSED
            return
        self.authenticated = True
        self._ack_count = int.from_bytes(ack_count, "big")
        self._out.append(self._mode)
        subscribe = RequestType.SUBSCRIBE
        self._out += requests.topic_requests(subscribe, self._wanted, self._channel)

    def _notice(self, frame: bytes) -> Notice:
        fields = _tlv(frame, 3)
        (code,) = I32.unpack(fields.get(1, b""))
        message = fields.get(2, b"").decode("utf-8", "replace")
        return Notice(code, message, int.from_bytes(fields.get(3, b""), "big"))

    def _data(self, frame: bytes) -> list[Update]:
        _, _, message_number, count = DATA_HEAD.unpack_from(frame)
        self._acknowledge(message_number)
        return self._records.read(frame, DATA_HEAD.size, count)

    def _acknowledge(self, message_number: int) -> None:
        """Every ``ack_count`` data frames the server wants the last one's number."""
        self._unacknowledged += 1
        if self._unacknowledged == self._ack_count:
            self._out.append(requests.acknowledge(message_number))
            self._unacknowledged = 0
