"""Tables of the simulated provider: conditions, exchanges, and rows of its tape.

Conditions have the update rules that the market's own table gives them, exchanges the ids that
the generator uses (massive.md, 1.6 and 1.7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Final

from tapewire.market.conditions import EFFECTS, HIGH_LOW, OPEN_CLOSE, VOLUME
from tapewire.simulators.rest_answers import BadRequestError, Row

_EXCHANGES: Final = (
    (1, "NYSE American", "XASE", "A", "exchange"),
    (4, "FINRA ADF and TRF", "XADF", "D", "TRF"),
    (10, "New York Stock Exchange", "XNYS", "N", "exchange"),
    (11, "NYSE Arca", "ARCX", "P", "exchange"),
    (12, "Nasdaq", "XNAS", "T", "exchange"),
    (15, "Investors Exchange", "IEXG", "V", "exchange"),
)
_BOUNDS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "timestamp.gte": ge,
    "timestamp.gt": gt,
    "timestamp.lte": le,
    "timestamp.lt": lt,
}


def condition_rows() -> list[Row]:
    """Every trade condition with what it updates, by id."""
    return [
        {
            "id": number,
            "type": "sale_condition",
            "name": f"Condition {number}",
            "asset_class": "stocks",
            "data_types": ["trade"],
            "update_rules": {"consolidated": _rules(effect), "market_center": _rules(effect)},
        }
        for number, effect in sorted(EFFECTS.items())
    ]


def exchange_rows() -> list[Row]:
    """The exchanges whose ids occur."""
    return [
        {
            "id": number,
            "type": kind,
            "asset_class": "stocks",
            "locale": "us",
            "name": name,
            "mic": mic,
            "operating_mic": mic,
            "participant_id": letter,
        }
        for number, name, mic, letter, kind in _EXCHANGES
    ]


def trade_row(trade: Row | None) -> Row | None:
    """A last trade as a row of ``/v3/trades``."""
    if trade is None:
        return None
    return {
        "id": trade["i"],
        "price": trade["p"],
        "size": trade["s"],
        "exchange": trade["x"],
        "conditions": trade.get("c", []),
        "sequence_number": trade["q"],
        "tape": trade["z"],
        "sip_timestamp": trade["t"],
        "participant_timestamp": trade["y"],
    }


def quote_row(quote: Row | None) -> Row | None:
    """A last quote as a row of ``/v3/quotes``."""
    if quote is None:
        return None
    return {
        "ask_price": quote["P"],
        "ask_size": quote["S"],
        "ask_exchange": quote["X"],
        "bid_price": quote["p"],
        "bid_size": quote["s"],
        "bid_exchange": quote["x"],
        "sequence_number": quote["q"],
        "tape": quote["z"],
        "sip_timestamp": quote["t"],
        "participant_timestamp": quote["t"],
    }


def in_range(query: Mapping[str, str], timestamp_ns: int) -> bool:
    """Whether a time is in the range asked for, in nanoseconds; BadRequestError for a date."""
    asked = {name: query[name] for name in _BOUNDS if name in query}
    if wrong := [text for text in asked.values() if not text.isdigit()]:
        raise BadRequestError(f"timestamp {wrong[0]!r}; expected UTC nanoseconds")
    return all(_BOUNDS[name](timestamp_ns, int(text)) for name, text in asked.items())


def _rules(effect: int) -> Row:
    return {
        "updates_high_low": bool(effect & HIGH_LOW),
        "updates_open_close": bool(effect & OPEN_CLOSE),
        "updates_volume": bool(effect & VOLUME),
    }
