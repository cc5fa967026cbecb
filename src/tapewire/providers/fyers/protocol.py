"""Fyers' data socket without I/O: frames in, requests, acks and ticks out.

A frame is big-endian: u16 length, u8 type. A data frame holds records, and a record means
something only through the snapshot that introduced its topic id on this connection: name,
price scale, and the values that a later record leaves out. Whatever is received is
therefore decoded here, and forgotten with the connection.

Source: the official client's data socket. Three things differ from it: open interest is
kept, a record of an unknown topic is stepped over, and the day's volume is read unsigned.
"""

import struct
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.model.events import Tick
from tapewire.model.rows import Reference
from tapewire.providers.broker import Ending
from tapewire.providers.disconnects import BackOff
from tapewire.providers.fyers import notices, requests
from tapewire.providers.fyers.notices import Notice
from tapewire.providers.fyers.records import Fault, Records
from tapewire.providers.fyers.requests import (
    DEFAULT_CHANNEL,
    FIELD_HEAD,
    PING,
    PING_INTERVAL_S,
    SUBSCRIBE_PAUSE_S,
    Mode,
    RequestType,
)
from tapewire.providers.fyers.segments import SEGMENTS, topic_of

MAX_TOPICS: Final = 5_000
"""Topics of one API key; the plan may allow fewer (notice 51001)."""

SILENCE_S: Final = 30.0
"""No message, ping or pong for so long: the socket is dead. Fyers answers the pings of the
WebSocket protocol, and at night nothing else: whoever holds the socket must send them."""

DATA: Final = 6
MASTER_DATA: Final = 13
NOTICE: Final = 51
ACCEPTED: Final = b"K"

DATA_HEAD: Final = struct.Struct(">HBIH")
I32: Final = struct.Struct(">i")

SILENT: Final = Ending("silent", BackOff(), f"nothing was heard for {SILENCE_S:.0f} s")


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
    """One connection, from the open socket to its end: a `BrokerConnection`.

    ``faults`` has the keys of ``Fault`` and ``no_price``. In the lite mode a tick has a price
    alone, at the time of its receipt. ``source`` is this client's name as the server sees it.
    """

    def __init__(
        self,
        hsm_key: str,
        now_s: float,
        *,
        mode: Mode = Mode.FULL,
        channel: int = DEFAULT_CHANNEL,
        source: str = "tapewire",
        max_topics: int = MAX_TOPICS,
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.ending: Ending | None = None
        self._auth = requests.auth(hsm_key, source)
        self._mode = requests.mode(channel, mode)
        self._channel = channel
        self._max_topics = max_topics
        self._authenticated = False
        self._opened = False
        self._now_s = self._heard_s = self._pinged_s = now_s
        self._asked_s = now_s - SUBSCRIBE_PAUSE_S
        self._wanted: dict[str, Instrument] = {}
        self._records = Records(self._wanted, self.faults)
        self._refusals: Counter[str] = Counter()
        self._ack_count = 0
        self._unacknowledged = 0
        self._waiting: deque[bytes] = deque()
        self._out: list[bytes | str] = []
        self._answers: Mapping[int, Callable[[bytes], None]] = {
            MASTER_DATA: lambda _: None,
            NOTICE: self._notice,
            **dict.fromkeys(set(RequestType) - {RequestType.ACK}, self._reply),
        }

    @property
    def authenticated(self) -> bool:
        """The key was accepted on this connection."""
        return self._authenticated

    @property
    def proved(self) -> int:
        """Subscribed instruments that a snapshot has come of."""
        return len(self._records.seen)

    def opened(self, now_s: float) -> None:
        """The socket is open: the client speaks first, and the rest follows the answer."""
        self._opened = True
        self._now_s = self._heard_s = self._pinged_s = now_s
        self._out.append(self._auth)

    def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Ask for instruments; held ones are not repeated. 1,500 go out every half second.

        Raises ``ValueError``, and asks for nothing, beyond the limit of topics and for an
        exchange that Fyers does not have.
        """
        asked = {topic_of(instrument): instrument for instrument in instruments}
        new = {topic: one for topic, one in asked.items() if topic not in self._wanted}
        total = len(self._wanted) + len(new)
        if total > self._max_topics:
            raise ValueError(f"{total} instruments, the limit is {self._max_topics}: ask for fewer")
        frames = requests.topic_requests(RequestType.SUBSCRIBE, new, self._channel)
        self._wanted.update(new)
        self._ask(frames)

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Give instruments back and forget their ids; unknown ones are ignored."""
        known = [one for one in instruments if one.exchange in SEGMENTS]
        gone = [topic for topic in dict.fromkeys(map(topic_of, known)) if topic in self._wanted]
        for topic in gone:
            del self._wanted[topic]
        self._records.forget()
        self._ask(requests.topic_requests(RequestType.UNSUBSCRIBE, gone, self._channel))

    def data_to_send(self) -> list[bytes | str]:
        """Binary messages to send now, in order; each is given once."""
        out, self._out = self._out, []
        return out

    def receive(self, frame: bytes | str, received_ns: int, now_s: float) -> list[Tick]:
        """Ticks of one message, in order; answers and acks lie in ``data_to_send`` afterwards."""
        self._now_s = self._heard_s = now_s
        if isinstance(frame, str):
            self.faults[Fault.TEXT] += 1
        elif len(frame) < 3:
            self.faults[Fault.TRUNCATED] += 1
        elif frame[2] == DATA:
            return self._data(frame, received_ns)
        else:
            self._answer(frame)
        return []

    def heard(self, now_s: float) -> None:
        """A ping or pong came: the socket lives."""
        self._now_s = self._heard_s = now_s

    def due(self, now_s: float) -> None:
        """Put out pings and requests that waited; end after a silence."""
        self._now_s = now_s
        if not self._opened or self.ending is not None:
            return
        if now_s - self._heard_s >= SILENCE_S:
            self.ending = SILENT
        if now_s - self._pinged_s >= PING_INTERVAL_S:
            self._pinged_s = now_s
            self._out.append(PING)
        self._pace()

    def close(self) -> None:
        """Fyers has no good-bye."""

    def references(self) -> Sequence[Reference]:
        """Names and previous closes of the snapshots since the last call."""
        return self._records.learned()

    def status(self) -> Mapping[str, object]:
        """``ack_count``, ``subscribed``, ``waiting`` requests and ``refusals`` by code.

        And counts of ``snapshots`` and ``unchanged`` updates: those that hold nothing of a tick.
        """
        return {
            "ack_count": self._ack_count,
            "subscribed": len(self._wanted),
            "waiting": len(self._waiting),
            "refusals": dict(self._refusals),
            **self._records.counts,
        }

    def _ask(self, frames: Sequence[bytes]) -> None:
        """Queue requests about topics; what is wanted before the key was accepted follows it."""
        if self._authenticated:
            self._waiting += frames
            self._pace()

    def _pace(self) -> None:
        if self._waiting and self._now_s - self._asked_s >= SUBSCRIBE_PAUSE_S:
            self._asked_s = self._now_s
            self._out.append(self._waiting.popleft())

    def _answer(self, frame: bytes) -> None:
        read = self._answers.get(frame[2])
        if read is None:
            self.faults[Fault.UNKNOWN_TYPE] += 1
            return
        try:
            read(frame)
        except (IndexError, struct.error):
            self.faults[Fault.TRUNCATED] += 1

    def _reply(self, frame: bytes) -> None:
        fields = _tlv(frame, 3)
        request, text = RequestType(frame[2]), fields.get(1, b"")
        if text != ACCEPTED:
            self._refusals[f"{request.name.lower()}_refused"] += 1
            said = f"the answer was {text[:20]!r}, expected {ACCEPTED!r}"
            self._end(notices.refusal(request, said))
        elif request is RequestType.AUTH and not self._authenticated:
            self._on_accepted(fields.get(2, b""))

    def _on_accepted(self, ack_count: bytes) -> None:
        self._authenticated = True
        self._ack_count = int.from_bytes(ack_count, "big")
        self._out.append(self._mode)
        self._ask(requests.topic_requests(RequestType.SUBSCRIBE, self._wanted, self._channel))

    def _notice(self, frame: bytes) -> None:
        fields = _tlv(frame, 3)
        (code,) = I32.unpack(fields.get(1, b""))
        message = fields.get(2, b"").decode("utf-8", "replace")
        notice = Notice(code, message, int.from_bytes(fields.get(3, b""), "big"))
        self._refusals[str(code)] += 1
        self._end(notice.ending)

    def _end(self, ending: Ending | None) -> None:
        """The first reason stands."""
        if self.ending is None:
            self.ending = ending

    def _data(self, frame: bytes, received_ns: int) -> list[Tick]:
        if len(frame) < DATA_HEAD.size:
            self.faults[Fault.TRUNCATED] += 1
            return []
        _, _, message_number, count = DATA_HEAD.unpack_from(frame)
        self._acknowledge(message_number)
        return self._records.read(frame, DATA_HEAD.size, count, received_ns)

    def _acknowledge(self, message_number: int) -> None:
        """Every ``ack_count`` data frames the server wants the last one's number."""
        self._unacknowledged += 1
        if self._unacknowledged == self._ack_count:
            self._out.append(requests.acknowledge(message_number))
            self._unacknowledged = 0
