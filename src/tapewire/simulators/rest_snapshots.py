"""The simulated provider's view of now: last trade, last quote, snapshots.

They are made of the previous session's bars and of what was played last. At speed ``max``
nothing that is played is kept, so the market stands at its previous close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tapewire.market.sessions import Session, TradingDay
from tapewire.simulators.rest_answers import Row
from tapewire.simulators.sources import DailyBar

_NO_BAR: Final = {"o": 0, "h": 0, "l": 0, "c": 0, "v": 0, "vw": 0}
_NS: Final = 1_000_000

_UNIFIED: Final = {
    Session.PRE: "early_trading",
    Session.REGULAR: "open",
    Session.POST: "late_trading",
    Session.CLOSED: "closed",
}

Latest = Callable[[str], str | None]
"""Topic and ticker (``T.AIG``) -> the last such event that was played."""


class TickerNow:
    """One ticker now: what its events and its previous session say."""

    def __init__(self, symbol: str, previous: DailyBar | None, before: TradingDay, latest: Latest):
        self.symbol = symbol
        self._previous = previous
        self._closed_ms = before.close_ms
        self._trade, self._quote, self._bar = (
            _event(latest(f"{topic}.{symbol}")) for topic in ("T", "Q", "A")
        )

    @property
    def price(self) -> float | None:
        """What it last traded at."""
        played = self._trade.get("p") or self._bar.get("c")
        return played or (self._previous.close if self._previous else None)

    def last_trade(self) -> Row | None:
        """As ``/v2/last/trade``; None for a ticker that never traded."""
        if self.price is None:
            return None
        trade = self._trade
        return {
            "T": self.symbol,
            "p": self.price,
            "s": trade.get("s", 100),
            "x": trade.get("x", 11),
            "i": trade.get("i", "1"),
            "q": trade.get("q", 1),
            "z": trade.get("z", 3),
            "t": trade.get("t", self._closed_ms) * _NS,
            "y": trade.get("t", self._closed_ms) * _NS,
        } | ({"c": trade["c"]} if "c" in trade else {})

    def last_quote(self) -> Row | None:
        """As ``/v2/last/nbbo``: a cent around the price where no quote was played."""
        if (price := self.price) is None:
            return None
        quote = self._quote
        return {
            "T": self.symbol,
            "P": quote.get("ap", round(price + 0.01, 4)),
            "S": quote.get("as", 1),
            "X": quote.get("ax", 11),
            "p": quote.get("bp", round(price - 0.01, 4)),
            "s": quote.get("bs", 1),
            "x": quote.get("bx", 12),
            "q": quote.get("q", 1),
            "z": quote.get("z", 3),
            "t": quote.get("t", self._closed_ms) * _NS,
        }

    def snapshot(self) -> Row:
        """As the snapshot calls; the day is empty until something was played."""
        change = percent = 0.0
        traded = bool(self._trade or self._bar)
        if traded and self._previous and self.price:
            change = round(self.price - self._previous.close, 4)
            percent = round(100 * change / self._previous.close, 4)
        row: Row = {
            "ticker": self.symbol,
            "todaysChange": change,
            "todaysChangePerc": percent,
            "updated": self._trade.get("t", self._bar.get("e", 0)) * _NS,
            "day": self._day(),
            "prevDay": prices(self._previous) if self._previous else _NO_BAR,
            "min": self._minute(),
        }
        if (trade := self.last_trade()) is not None:
            row["lastTrade"] = {name: trade[name] for name in ("i", "p", "s", "t", "x")}
            row["lastTrade"]["c"] = trade.get("c", [])
        if (quote := self.last_quote()) is not None:
            row["lastQuote"] = {name: quote[name] for name in ("P", "S", "p", "s", "t")}
        return row

    def unified(self, session: Session, name: str) -> Row:
        """As ``/v3/snapshot``."""
        shown = self.snapshot()
        day, previous = shown["day"], shown["prevDay"]
        return {
            "ticker": self.symbol,
            "type": "stocks",
            "name": name,
            "market_status": _UNIFIED[session],
            "session": {
                "change": shown["todaysChange"],
                "change_percent": shown["todaysChangePerc"],
                "open": day["o"],
                "high": day["h"],
                "low": day["l"],
                "close": day["c"],
                "volume": day["v"],
                "previous_close": previous["c"],
            },
        }

    def _day(self) -> Row:
        bar = self._bar
        if not bar:
            return dict(_NO_BAR)
        opened = bar.get("op") or bar["o"]
        seen = (opened, bar["o"], bar["h"], bar["l"], bar["c"])
        prices_ = {"o": opened, "h": max(seen), "l": min(seen), "c": bar["c"]}
        return prices_ | {"v": bar.get("av", bar["v"]), "vw": bar.get("a", bar["vw"])}

    def _minute(self) -> Row:
        bar = self._bar
        if not bar:
            return _NO_BAR | {"av": 0, "t": 0, "n": 0}
        shown = {name: bar[name] for name in ("o", "h", "l", "c", "v", "vw")}
        return shown | {"av": bar.get("av", bar["v"]), "t": bar["s"] // 60_000 * 60_000, "n": 1}


def prices(bar: DailyBar) -> Row:
    """A session's bar by the wire's names, without its time."""
    names = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
    return {**names, "v": bar.volume, "vw": bar.vwap}


def _event(text: str | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = msgspec.json.decode(text) if text else {}
    return found
