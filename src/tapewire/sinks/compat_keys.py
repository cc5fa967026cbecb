"""The keys of the earlier tick engine, made of Indian minute candles (``components.md`` 6).

``nse_fo:8765:_latest_:`` and ``..._confirmed_:`` hold ``[o, h, l, c, volume, minute_int]``,
``nse_fo:8765:91500:`` holds ``[o, h, l, c, volume]``: JSON arrays. Pure;
``services/compat_keys.py`` follows the shards and writes.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from tapewire.caches.keys import EarlierEngineKeys
from tapewire.model.candle_names import CandleHash, is_candles
from tapewire.model.markets import INDIA, minute_int
from tapewire.model.rows import Candle

_encode: Final = msgspec.json.Encoder().encode


class CompatKeys:
    """Turns candles into keys, and knows which of an instrument's is the newest.

    A candle that was amended after a newer one had begun changes its own minute only. Minutes
    are named by the clock alone: those of the next day take the place of this day's.
    """

    def __init__(self) -> None:
        self._latest_ms: dict[str, int] = {}
        self._confirmed_ms: dict[str, int] = {}

    def of(self, symbol: str, candles: Iterable[Candle]) -> dict[str, bytes]:
        """Key -> JSON of an instrument's candles (``NSE_FO:8765``), minutes before what is newest.

        So whoever sees that a minute was confirmed also finds it under its own name.
        """
        exchange, _, token = symbol.partition(":")
        minutes: dict[str, bytes] = {}
        newest: dict[str, bytes] = {}
        for one in candles:
            minute = minute_int(one.start_ms)
            prices = (one.open, one.high, one.low, one.close, one.volume)
            minutes[EarlierEngineKeys.minute(exchange, token, minute)] = _encode(prices)
            if _is_newest(self._latest_ms, symbol, one.start_ms):
                newest[EarlierEngineKeys.latest(exchange, token)] = _encode((*prices, minute))
            if one.closed and _is_newest(self._confirmed_ms, symbol, one.start_ms):
                newest[EarlierEngineKeys.confirmed(exchange, token)] = _encode((*prices, minute))
        return minutes | newest


def minutes_in(name: str) -> CandleHash | None:
    """The Indian minute candles that a hash of a shard holds, None if it holds others.

    Raises ValueError for a name of candles of another layout.
    """
    if not is_candles(name):
        return None
    found = CandleHash.parse(name)
    wanted = (found.exchange, found.interval) == (INDIA.exchange, "1m")
    return found if wanted else None


def _is_newest(known: dict[str, int], symbol: str, start_ms: int) -> bool:
    if start_ms < known.get(symbol, 0):
        return False
    known[symbol] = start_ms
    return True
