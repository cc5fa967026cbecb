"""Faults that a simulator can be told to make: which there are, and when each is due.

A fault is written ``name@after``: it happens when ``after`` events of the source have been sent
(0: before the first). ``EVENT_FAULTS`` change the events that follow, one each;
``CONNECTION_FAULTS`` hit every subscriber; ``LOGIN_FAULTS`` hit the next client that comes.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from collections.abc import Callable, Container, Mapping
from typing import Final, Generic, NamedTuple

from tapewire.simulators.sources import Slice, Timed, TimedEvent

LATE_MS: Final = 5_000
"""Event time by which ``late`` holds an event back."""

CONNECTION_FAULTS: Final[Mapping[str, str]] = {
    "drop": "end the TCP connection without a close frame, after everything sent has left",
    "reset": "abort the TCP connection; what the socket had not sent yet is lost",
    "mute": "half-open: neither data nor answers any more, and no end of the connection",
    "close": "close with code 1001",
    "kick": "max_connections status, then close 1008",
    "force_disconnect": "force_disconnect status, then close 1008",
    "invalid_json": "one frame that is cut off in the middle of an object",
    "not_array": "one frame that is an object instead of an array",
}
LOGIN_FAULTS: Final[Mapping[str, str]] = {
    "bad_key": "refuse the next login as if the key were wrong",
    "refuse_upgrade": "answer the next upgrade with HTTP 503",
}
EVENT_FAULTS: Final[Mapping[str, str]] = {
    "duplicate": "send the next event twice",
    "late": f"hold the next event back for {LATE_MS} ms of event time",
    "out_of_order": "send the next event after its ticker's following one",
    "float": "write the next event's first integer field as a float",
    "unknown_event": "send an event of a kind that does not exist before the next one",
    "bad_event": "send a trade whose price is a word before the next event",
}

CUT_OFF_FRAME: Final = b'[{"ev":"T","sym":"AIG","x":11,"p":4'
NOT_AN_ARRAY: Final = b'{"ev":"T","sym":"AIG","x":11,"i":"1","z":1,"p":49.18,"s":300,"t":1,"q":1}'

_INTEGER: Final = re.compile(r'("(?:s|bs|z)":\d+)([,}])')
_FAULT: Final = re.compile(r"(?P<name>\w+)(?:@(?P<after>\d+))?")


class FaultError(ValueError):
    """A fault that does not exist or cannot be made here."""


class Fault(NamedTuple):
    """A fault and the number of sent events after which it happens."""

    after: int
    name: str

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``name`` or ``name@after``; FaultError names what there is."""
        match = _FAULT.fullmatch(text)
        known = [*CONNECTION_FAULTS, *LOGIN_FAULTS, *EVENT_FAULTS]
        if not match or match["name"] not in known:
            raise FaultError(f"fault {text!r} is unknown; expected one of {', '.join(known)}, "
                             "each with @N for after N events")  # fmt: skip
        return cls(int(match["after"] or 0), match["name"])


class KnownFaults(NamedTuple):
    """The faults of a kind of simulator: how they are read, and which hit clients and logins."""

    parse: Callable[[str], Fault]
    connection: Mapping[str, str]
    login: Mapping[str, str]


KNOWN: Final = KnownFaults(Fault.parse, CONNECTION_FAULTS, LOGIN_FAULTS)


def kind_of(fault: str) -> str:
    """A fault's name without the code that some have (``disconnect:805``)."""
    return fault.partition(":")[0]


class LoginFaults:
    """Refusals of logins to come, in the order in which they were planned."""

    def __init__(self) -> None:
        self._planned: list[str] = []

    def plan(self, name: str) -> None:
        """One more; it hits the next login that it fits."""
        self._planned.append(name)

    def take(self, among: Container[str]) -> str | None:
        """The first planned fault of these, which is not planned any more; None without one."""
        name = next((name for name in self._planned if name in among), None)
        if name is not None:
            self._planned.remove(name)
        return name


class FaultScript:
    """The faults still to come, in order of when they are due."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan a fault; of several due at once, they happen in order of their names."""
        insort(self._pending, fault)

    def until_next(self, taken: int) -> int | None:
        """How many more events go out before the next fault; None without one."""
        return max(0, self._pending[0].after - taken) if self._pending else None

    def due(self, taken: int) -> list[str]:
        """Take out the names of the faults due after ``taken`` events."""
        due = [fault.name for fault in self._pending if fault.after <= taken]
        del self._pending[: len(due)]
        return due


class Tampering(Generic[Timed]):
    """Changes to the stream of events: those asked for, and the events held back.

    ``changes`` says what becomes of an event by the fault's name; ``late`` and ``out_of_order``
    need none.
    """

    def __init__(self, changes: Mapping[str, Callable[[Timed], list[Timed]]]) -> None:
        self._changes = changes
        self._armed: deque[str] = deque()
        self._late: deque[Timed] = deque()
        self._swapped: list[Timed] = []

    def knows(self, name: str) -> bool:
        """Whether a fault is one of these."""
        return name in self._changes or name in ("late", "out_of_order")

    def arm(self, name: str) -> None:
        """Make an event fault happen to the next event."""
        self._armed.append(name)

    def apply(self, events: list[Timed]) -> list[Timed]:
        """The events as they are to be sent."""
        if not (self._armed or self._late or self._swapped):
            return events
        return [sent for event in events for sent in self._pass(event)]

    def release(self) -> list[Timed]:
        """Everything still held back: the source has ended."""
        held = [*self._swapped, *self._late]
        self._swapped.clear()
        self._late.clear()
        return held

    def _pass(self, event: Timed) -> list[Timed]:
        sent: list[Timed] = []
        while self._late and event[0] - self._late[0][0] >= LATE_MS:
            sent.append(self._late.popleft())
        followers = [held for held in self._swapped if held[1] == event[1]]
        self._swapped = [held for held in self._swapped if held[1] != event[1]]
        sent += self._tamper(event) if self._armed else [event]
        return sent + followers

    def _tamper(self, event: Timed) -> list[Timed]:
        name = self._armed.popleft()
        if name == "late":
            self._late.append(event)
            return []
        if name == "out_of_order":
            self._swapped.append(event)
            return []
        return self._changes[name](event)


def _with_float(event: TimedEvent) -> Slice:
    time_ms, topic, text = event
    return [(time_ms, topic, _INTEGER.sub(r"\1.0\2", text, count=1))]


def _after_unknown(event: TimedEvent) -> Slice:
    time_ms, topic, _ = event
    symbol = topic.partition(".")[2]
    return [(time_ms, f"ZZ.{symbol}", f'{{"ev":"ZZ","sym":"{symbol}","t":{time_ms}}}'), event]


def _after_bad(event: TimedEvent) -> Slice:
    time_ms, topic, _ = event
    symbol = topic.partition(".")[2]
    text = f'{{"ev":"T","sym":"{symbol}","p":"many","s":100,"t":{time_ms}}}'
    return [(time_ms, f"malformed.{symbol}", text), event]


def twice(event: Timed) -> list[Timed]:
    """The fault ``duplicate``."""
    return [event, event]


JSON_CHANGES: Final[Mapping[str, Callable[[TimedEvent], Slice]]] = {
    "duplicate": twice,
    "float": _with_float,
    "unknown_event": _after_unknown,
    "bad_event": _after_bad,
}
"""What becomes of an event in JSON by the fault that hits it."""
