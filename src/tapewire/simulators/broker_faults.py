"""Faults of the broker simulators: which there are, and what each does.

A fault is written ``name[:code][@after]``: it happens when ``after`` ticks have been played to
somebody (0: before the first). The broker's own disconnect codes are ``disconnect:805``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from tapewire.simulators.broker_voice import HttpAnswer
from tapewire.simulators.faults import LATE_MS, Fault, FaultError, KnownFaults, twice
from tapewire.simulators.line import Line
from tapewire.simulators.sources import TimedTick

CONNECTION_FAULTS: Final[Mapping[str, str]] = {
    "drop": "end the TCP connection without a close frame, after everything sent has left",
    "reset": "abort the TCP connection; what the socket had not sent yet is lost",
    "mute": "half-open: neither data nor answers any more, and no end of the connection",
    "close": "close with code 1001",
    "garbage": "one binary frame of bytes that mean nothing",
    "disconnect": "say good-bye with the broker's own code (disconnect:805), then close",
}
LOGIN_FAULTS: Final[Mapping[str, str]] = {
    "bad_token": "answer the next REST call or upgrade as if the token were wrong",
    "refuse_upgrade": "answer the next upgrade with HTTP 503",
    "throttle": "answer the next upgrade with HTTP 429",
    "rest_throttle": "answer the next REST call with HTTP 429",
    "rest_error": "answer the next REST call with HTTP 500",
}
TICK_FAULTS: Final[Mapping[str, str]] = {
    "duplicate": "send the next tick twice",
    "late": f"hold the next tick back for {LATE_MS} ms of event time",
    "out_of_order": "send the next tick after its instrument's following one",
}

GARBAGE: Final = b"\xff\xfe\xfd" * 7
"""Neither a protobuf message nor a frame of Fyers' or packets of Dhan's."""

TICK_CHANGES: Final[Mapping[str, Callable[[TimedTick], list[TimedTick]]]] = {"duplicate": twice}

STRIKES: Final[Mapping[str, Callable[[Line], None]]] = {
    "drop": Line.drop,
    "reset": Line.reset,
    "mute": Line.mute,
    "close": lambda line: line.close(1001, "going away"),
    "garbage": lambda line: line.put(GARBAGE),
}

_WRONG_TOKEN: Final = HttpAnswer(
    401, b'{"status":"error","s":"error","message":"the token was refused"}'
)
_TOO_MANY: Final = HttpAnswer(
    429,
    b'{"status":"error","s":"error","message":"too many requests"}',
    headers={"Retry-After": "1"},
)
_BROKEN: Final = HttpAnswer(500, b"Internal Server Error", "text/plain")
_AWAY: Final = HttpAnswer(503, b"try again later", "text/plain")

UPGRADE_ANSWERS: Final[Mapping[str, HttpAnswer]] = {
    "bad_token": _WRONG_TOKEN,
    "refuse_upgrade": _AWAY,
    "throttle": _TOO_MANY,
}
REST_ANSWERS: Final[Mapping[str, HttpAnswer]] = {
    "bad_token": _WRONG_TOKEN,
    "rest_throttle": _TOO_MANY,
    "rest_error": _BROKEN,
}

_FAULT: Final = re.compile(r"(?P<name>\w+?)(?P<code>:\d+)?(?:@(?P<after>\d+))?")


def parse_fault(text: str) -> Fault:
    """Read ``name[:code][@after]``; FaultError names what there is."""
    match = _FAULT.fullmatch(text)
    known = [*CONNECTION_FAULTS, *LOGIN_FAULTS, *TICK_FAULTS]
    if not match or match["name"] not in known:
        raise FaultError(
            f"fault {text!r} is unknown; expected one of {', '.join(known)}, each with @N for"
            " after N ticks"
        )
    if bool(match["code"]) != (match["name"] == "disconnect"):
        raise FaultError(f"fault {text!r}: a code belongs to disconnect alone (disconnect:805)")
    return Fault(int(match["after"] or 0), match["name"] + (match["code"] or ""))


KNOWN: Final = KnownFaults(parse_fault, CONNECTION_FAULTS, LOGIN_FAULTS)
