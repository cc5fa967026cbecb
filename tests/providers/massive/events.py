"""Massive events as JSON bytes, and batches of them, as tests write them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from tapewire.model.batch import Batch
from tapewire.model.streams import Stream

AT_MS = 1_381_152_600_000  # 2013-10-07 09:30 New York

_TRADE = {"x": 11, "i": "1", "z": 1, "p": 49.18, "s": 300, "t": AT_MS, "q": 1}
_BAR = {"v": 100, "o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "s": AT_MS, "e": AT_MS + 1000}


def encoded(event: dict[str, Any], without: Iterable[str] = ()) -> bytes:
    gone = set(without)
    return msgspec.json.encode({name: v for name, v in event.items() if name not in gone})


def trade(symbol: str = "AIG", without: Iterable[str] = (), **fields: Any) -> bytes:
    return encoded({"ev": "T", "sym": symbol} | _TRADE | fields, without)


def bar(symbol: str = "AIG", event_type: str = "A", **fields: Any) -> bytes:
    return encoded({"ev": event_type, "sym": symbol} | _BAR | fields)


def quote(symbol: str = "AIG", **fields: Any) -> bytes:
    return encoded({"ev": "Q", "sym": symbol, "bp": 10.0, "ap": 10.1, "t": AT_MS} | fields)


def luld(symbol: str = "AIG", **fields: Any) -> bytes:
    return encoded({"ev": "LULD", "T": symbol, "h": 3.6, "l": 2.9, "i": [17], "t": AT_MS} | fields)


def status(kind: str, message: str = "") -> bytes:
    return encoded({"ev": "status", "status": kind, "message": message})


def frame(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


def batch(stream: Stream, *events: bytes) -> Batch:
    return Batch("massive", stream, 0, "massive", 1, 0, len(events), 1, b",".join(events))
