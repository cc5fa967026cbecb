"""Which ticks of a broker count, and the one name of the instrument that they are of.

Brokers number instruments anew on each exchange, so a token alone names nothing: everything
that is kept of an instrument is kept under exchange and token together (``components.md`` 10).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from tapewire.model.events import Tick

NO_PRICE: Final = "no_price"
"""Reason of a tick without a last price (a previous close, a depth change): no fault in it."""


def instrument_key(exchange: str, token: str) -> str:
    """``NSE_FO:8765``: the symbol under which an instrument is sharded, folded and stored."""
    return f"{exchange}:{token}"


def objection(tick: Tick) -> str | None:
    """Why a tick does not count, None when it does.

    ``no_price``, ``empty_exchange``, ``empty_token``, ``bad_price`` (zero, less or not a
    number), ``bad_timestamp`` (zero or less).
    """
    if tick.last_price is None:
        return NO_PRICE
    if not tick.exchange.strip():
        return "empty_exchange"
    if not tick.token.strip():
        return "empty_token"
    if not 0 < tick.last_price < _INFINITE:
        return "bad_price"
    return "bad_timestamp" if tick.timestamp_ms <= 0 else None


def admitted(ticks: Iterable[Tick], skipped: Counter[str]) -> list[Tick]:
    """The ticks that count, in order; the others are counted in ``skipped`` by reason.

    A token with spaces in it (the name of an index) gets underscores instead: ``Nifty_50``.
    """
    good = []
    for tick in ticks:
        reason = objection(tick)
        if reason:
            skipped[reason] += 1
        else:
            good.append(replace(tick, token=_named(tick.token)) if " " in tick.token else tick)
    return good


def _named(token: str) -> str:
    return token.strip().replace(" ", "_")


_INFINITE: Final = float("inf")
