"""The best bid and offer of every symbol, published once a second.

Quotes are the fastest stream there is, and most of them are over before anybody can look: so
one dictionary store a quote, and rows at the cuts, of the symbols that changed. Processors of
other streams read these rows as facts (``bid``, ``ask``, ... of a quote record).
"""

from collections.abc import Iterable

from msgspec import msgpack
from msgspec.structs import astuple

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.fold import Fold
from tapewire.analyzers.shard_clock import LATENESS_MS
from tapewire.market.sessions import SessionCalendar
from tapewire.model.changes import Changes
from tapewire.model.events import Quote
from tapewire.model.feeds import best_quote_hash
from tapewire.model.rows import BestQuote, encode_row
from tapewire.model.streams import Stream


class BestQuotes(Fold[Quote]):
    """Fold the ``quotes`` stream; an ``Analyzer``.

    The newest quote of a symbol by (timestamp, sequence) counts, whatever order they came
    in. ``skipped`` counts quotes not applied: ``out_of_order`` (an older one came after a
    newer), ``too_late`` (of an earlier day, or over 15 minutes), ``bad_price`` (below zero),
    ``bad_timestamp`` (outside the calendar).
    """

    stream = Stream.QUOTES

    def __init__(self, calendar: SessionCalendar) -> None:
        super().__init__(calendar, (), "quotes", ("best_quote", "private:best_quotes"))
        self._newest_ms: float = -1
        self._now: dict[str, Quote] = {}  # since the last drain
        self._second: dict[str, Quote] = {}  # of the current second, drained
        self._before: dict[str, Quote] = {}  # as of the last cut
        self._unwritten: dict[str, dict[str, Quote]] = {}
        self._unsaved: dict[str, Quote] = {}

    def _fold(self, quotes: Iterable[Quote]) -> None:
        cut_ms, newest_ms, now = self._clock.cut_ms, self._newest_ms, self._now
        for quote in quotes:
            t = quote.timestamp_ms
            if t > newest_ms and quote.bid >= 0 <= quote.ask:
                if t >= cut_ms:
                    if not self._cut(int(t)):
                        continue
                    cut_ms, now = self._clock.cut_ms, self._now
                newest_ms = t
                now[quote.symbol] = quote
            else:
                self._irregular(quote)
        self._newest_ms = newest_ms

    def _irregular(self, quote: Quote) -> None:
        """A quote that is not newer than every other one: newer than its symbol's last?"""
        symbol, t = quote.symbol, quote.timestamp_ms
        known = self._now.get(symbol) or self._second.get(symbol) or self._before.get(symbol)
        reason = None
        if min(quote.bid, quote.ask) < 0:
            reason = "bad_price"
        elif known and (t, quote.sequence) < (known.timestamp_ms, known.sequence):
            reason = "out_of_order"
        elif t < self._turn_ms() or t < self.second_ms - LATENESS_MS:
            reason = "too_late"
        if reason:
            self.skipped[reason] += 1
        else:
            self._now[symbol] = quote

    def _turn_ms(self) -> int:
        return self._clock.day.turn_ms if self._clock.day else 0

    def _end(self, timestamp_ms: int) -> None:
        """What the second brought will be written."""
        if self._now or self._second:
            self._put_away()
        if self._clock.cut(timestamp_ms, (), ()):
            self._before, self._unsaved = {}, {}

    def _put_away(self) -> None:
        """The second is over: its quotes are what stands now."""
        now, self._now = self._now, {}
        second, self._second = self._second | now, {}
        self._unsaved.update(now)
        self._before.update(second)
        self._unwritten.setdefault(best_quote_hash(self._date()), {}).update(second)

    def _changes(self) -> Changes:
        """Rows as of the last cut, and what a restart needs of the second since."""
        changes = super()._changes()
        for name, quotes in self._unwritten.items():
            changes.rows[name] = {symbol: encode_row(row(q)) for symbol, q in quotes.items()}
        self._unwritten = {}
        now, self._now = self._now, {}
        self._second.update(now)
        if saved := self._unsaved | now:
            packed = {symbol: _encode(astuple(quote)) for symbol, quote in saved.items()}
            changes.private[_saved_hash(self._date())] = packed
            self._unsaved = {}
        return changes

    def _date(self) -> str:
        return self._clock.day.date if self._clock.day else ""

    def renew(self) -> None:
        """Make the next drain write everything."""
        super().renew()
        self._unsaved = self._before | self._second
        if self._before:
            self._unwritten[best_quote_hash(self._date())] = dict(self._before)

    def _hashes(self, second_ms: int) -> list[str]:
        return [_saved_hash(self._calendar.trading_date(second_ms))]

    def _resume(self, second_ms: int, private: Hashes) -> None:
        for packed in private.get(_saved_hash(self._date()), {}).values():
            quote = Quote(*_decode(packed))
            self._newest_ms = max(self._newest_ms, quote.timestamp_ms)
            young = quote.timestamp_ms >= second_ms
            (self._second if young else self._before)[quote.symbol] = quote
        if self._before:  # a late one of the unfinished second may not have been written
            self._unwritten[best_quote_hash(self._date())] = dict(self._before)


def row(quote: Quote) -> BestQuote:
    """The row of a symbol's newest quote; a side at 0 is missing."""
    return BestQuote(
        quote.symbol,
        quote.bid or None,
        quote.ask or None,
        quote.bid_size if quote.bid else None,
        quote.ask_size if quote.ask else None,
        int(quote.timestamp_ms),
    )


def _saved_hash(date: str) -> str:
    return f"best_quotes:{date}"


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(tuple).decode
"""A quote's fields in their order: a provider's own kind spells their names otherwise."""
