"""Trading halts, limit states and price bands from LULD events.

``components.md`` section 4, *Halts*. The provider has no halt channel: LULD indicators 17 and
18 are its only halt signal, and come for Nasdaq listings (massive.md 1.4). What each indicator
does is one table. Halts, limit states and bands are told apart, and each goes by its own newest
event: an old halt that comes after a newer band still counts, one that comes after a newer
resumption does not.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct, msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.analyzers.fold import Fold
from tapewire.analyzers.gap_mark import GapMarked
from tapewire.market.sessions import SessionCalendar, TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Luld
from tapewire.model.feeds import halt_hash
from tapewire.model.rows import HaltEvent, HaltState, Reference, encode_row
from tapewire.model.streams import Stream

FEED: Final = "halts"

Key = tuple[int, int]
"""Order of LULD events of one symbol: (timestamp in ms, sequence)."""

NEVER: Final[Key] = (-1, -1)


class Aspect(StrEnum):
    """What an indicator is about; each aspect of a symbol has its own newest event."""

    HALT = "halt"
    LIMIT = "limit"
    BAND = "band"


class Effect(NamedTuple):
    """What an indicator makes of a symbol.

    ``kind`` is that of the event published when something changed, empty for none. ``halted``
    is for HALT; ``bid`` and ``offer`` say for LIMIT whether that side's quotes are in a limit
    state now, None where the indicator does not say.
    """

    aspect: Aspect
    kind: str = ""
    reason: str = ""
    halted: bool = False
    bid: bool | None = None
    offer: bool | None = None


def _limit(bid: bool | None, offer: bool | None) -> Effect:
    entered = bool(bid or offer)
    kind = "limit_state_entered" if entered else "limit_state_exited"
    words = {True: "entered a limit state", False: "left its limit state"}
    sides = (("best bid", bid), ("best offer", offer))
    reason = ", ".join(f"{side} {words[state]}" for side, state in sides if state is not None)
    return Effect(Aspect.LIMIT, kind, reason, bid=bid, offer=offer)


_BANDS: Final = Effect(Aspect.BAND)

# LULD indicator (massive.md 1.4; 21 to 30 are the consolidated tape's own list, in its order:
# bands, bands again, then bid and offer entering and leaving limit states) -> effect
EFFECTS: Final[dict[int, Effect]] = {
    14: _BANDS,  # opening update
    15: _BANDS,  # intraday update
    16: _BANDS,  # restated
    17: Effect(Aspect.HALT, "halt", "trading halt or pause", halted=True),
    18: Effect(Aspect.HALT, "resume", "trading reopened"),
    19: Effect(Aspect.BAND, reason="outside the hours of price bands"),
    20: Effect(Aspect.HALT, "extension", "reopening auction extended", halted=True),
    21: _BANDS,  # price band
    22: _BANDS,  # price band republished
    23: _limit(bid=True, offer=None),
    24: _limit(bid=False, offer=None),
    25: _limit(bid=None, offer=True),
    26: _limit(bid=None, offer=False),
    27: _limit(bid=True, offer=True),
    28: _limit(bid=False, offer=False),
    29: _limit(bid=True, offer=False),
    30: _limit(bid=False, offer=True),
}

OUTSIDE_HOURS: Final = 19


class Known(Struct, array_like=True, gc=False):
    """What is known of one symbol.

    ``halted`` is None until an event said it. ``bid`` and ``offer`` stand at the upper and at
    the lower band. ``*_key`` is the newest event of each aspect.
    """

    halted: bool | None = None
    reason: str | None = None
    since_ms: int | None = None
    high: float | None = None
    low: float | None = None
    bid: bool = False
    offer: bool = False
    halt_key: Key = NEVER
    limit_key: Key = NEVER
    band_key: Key = NEVER

    @property
    def limit_state(self) -> str | None:
        """Bids at the upper band are a limit up, offers at the lower one a limit down."""
        if self.bid and self.offer:
            return "both"
        return "up" if self.bid else "down" if self.offer else None

    @property
    def newest_ms(self) -> int:
        """Time of the newest event that counted."""
        return max(self.halt_key, self.limit_key, self.band_key)[0]

    def take(self, luld: Luld, key: Key, indicator: int, effect: Effect) -> bool | None:
        """Apply one indicator: whether something changed that is to be told; None: too old."""
        match effect.aspect:
            case Aspect.HALT if key >= self.halt_key:
                again = effect.kind == "extension" and key > self.halt_key
                self.halt_key = key
                return self._halt(effect, key[0]) or again
            case Aspect.LIMIT if key >= self.limit_key:
                self.limit_key = key
                return self._limit(effect)
            case Aspect.BAND if key >= self.band_key:
                self._band(luld, key, indicator)
                return False
        return None

    def _halt(self, effect: Effect, at_ms: int) -> bool:
        told = self.halted is not effect.halted
        if effect.halted and not self.halted:
            self.since_ms = at_ms
        self.halted = effect.halted
        self.reason = effect.reason if effect.halted else None
        if not effect.halted:
            self.since_ms = None
        return told

    def _limit(self, effect: Effect) -> bool:
        before = (self.bid, self.offer)
        self.bid = self.bid if effect.bid is None else effect.bid
        self.offer = self.offer if effect.offer is None else effect.offer
        return before != (self.bid, self.offer)

    def _band(self, luld: Luld, key: Key, indicator: int) -> None:
        self.band_key = key
        shown = indicator != OUTSIDE_HOURS
        self.high = luld.high if shown and luld.high > 0 else None
        self.low = luld.low if shown and luld.low > 0 else None


class HaltStates(GapMarked):
    """A ``Part`` without bars: what is known of every symbol, its rows and its events.

    A halted symbol stays halted when the trading day turns; bands and limit states end with
    their day.
    """

    dated: Final = ("halt_state", "private:halt_states")

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Known] = {}
        self._changed: set[str] = set()
        self._items: list[bytes] = []

    def take(self, luld: Luld) -> str | None:
        """Apply an event; the reason why it was not, if so."""
        key = (int(luld.timestamp_ms), int(luld.sequence))
        known = self._known.get(luld.symbol)
        if known is None:
            known = self._known[luld.symbol] = Known()
        verdicts = []
        for indicator in luld.indicators:
            effect = EFFECTS.get(indicator)
            if effect is None:
                verdicts.append("unknown_indicator")
                continue
            told = known.take(luld, key, indicator, effect)
            verdicts.append("out_of_order" if told is None else "")
            if told:
                self._tell(luld, indicator, effect)
        if "" in verdicts:
            self._changed.add(luld.symbol)
            return None
        return verdicts[0] if verdicts else "unknown_indicator"

    def _tell(self, luld: Luld, indicator: int, effect: Effect) -> None:
        event = HaltEvent(
            luld.symbol,
            effect.kind,
            effect.reason,
            luld.high if luld.high > 0 else None,
            luld.low if luld.low > 0 else None,
            indicator,
            int(luld.timestamp_ms),
        )
        self._items.append(encode_row(event))

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """There are no bars."""

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Carry halts into a new trading day; the rest begins anew."""
        if self._day is not None and day.date != self._day.date:
            self._known = {s: _carried(known) for s, known in self._known.items() if known.halted}
            self._changed = set(self._known)
        self._stand(second_ms, day)

    def finish(self) -> None:
        """A halt does not end with a replay."""

    def _touch_rows(self) -> None:
        self._changed.update(self._known)

    def refer(self, references: Iterable[Reference]) -> None:
        """Halts need no references."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """Changed rows, events, and what they are continued from."""
        changes = Changes()
        if self._items:
            changes.items[FEED] = self._items
            self._items = []
        if self._day is not None and self._changed:
            date, gap = self._day.date, self._gap
            known = {symbol: self._known[symbol] for symbol in self._changed}
            changes.rows[halt_hash(date)] = {
                symbol: encode_row(halt_state(symbol, one, gap)) for symbol, one in known.items()
            }
            changes.private[_KNOWN + date] = {symbol: _encode(one) for symbol, one in known.items()}
            self._changed = set()
        return changes

    def renew(self) -> None:
        """Make the next drain write every row; events that were told are not told again."""
        self._changed.update(self._known)

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """What is known on a date."""
        return [_KNOWN + date]

    def restore(self, private: Hashes) -> None:
        """Read it back."""
        for name, values in private.items():
            if name.startswith(_KNOWN):
                self._known = {symbol: _decode(value) for symbol, value in values.items()}


class HaltFold(Fold[Luld]):
    """Fold the ``halts`` stream; an ``Analyzer``.

    ``skipped`` counts events that changed nothing: ``out_of_order`` (a newer one of the same
    aspect was there), ``unknown_indicator``, ``too_late`` (of an earlier trading day),
    ``bad_timestamp`` (outside the calendar).
    """

    stream = Stream.HALTS

    def __init__(self, calendar: SessionCalendar) -> None:
        self._states = HaltStates()
        super().__init__(calendar, [self._states], "halts")

    def _fold(self, lulds: Iterable[Luld]) -> None:
        for luld in lulds:
            t = int(luld.timestamp_ms)
            if not self._clock.covers(t):
                self.skipped["bad_timestamp"] += 1
                continue
            if t >= self._clock.cut_ms:
                self._cut(t)
            day = self._clock.day
            reason = "too_late" if day is None or t < day.turn_ms else self._states.take(luld)
            if reason:
                self.skipped[reason] += 1


def halt_state(symbol: str, known: Known, gap: bool) -> HaltState:
    """The row of one symbol."""
    return HaltState(
        symbol,
        bool(known.halted),
        known.reason,
        known.since_ms,
        known.high,
        known.low,
        known.limit_state,
        known.newest_ms,
        gap,
    )


def _carried(known: Known) -> Known:
    """A halt as the next day begins with it."""
    return Known(True, known.reason, known.since_ms, halt_key=known.halt_key)


_KNOWN: Final = "halt_states:"
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Known).decode
