"""Event time of one shard: seconds, cuts, trading days, and what is known of losses.

Everything here follows the events' own timestamps; nothing asks what time it is.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, msgpack

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.part import HasDates, Part, TakesFacts
from tapewire.market.sessions import CalendarRangeError, SessionCalendar, TradingDay
from tapewire.model.changes import PRIVATE, Changes
from tapewire.model.events import Gap
from tapewire.model.rows import Fact, Reference

LATENESS_MS = 15 * 60 * SECOND_MS
"""Later trades are counted and not applied (components.md 4; FINRA allows 15 minutes)."""

KEPT_SESSIONS: Final = 2
"""Sessions before the present trading date whose rows stay in the store."""


class Standing(Struct, array_like=True):
    """Where an owner stood: its second, late trades waiting for the cut, known losses."""

    second_ms: int
    late: list[Bar]
    gaps: list[tuple[int, int]]


class ShardClock:
    """Drives a shard's parts through event time.

    ``second_ms`` is the start of the current second, -1 before the first event;
    ``cut_ms`` its end: the first event at or after it makes a cut. Every boundary of a
    trading day (its turn, the begin of pre-market, open, close, end of post-market) is stood
    at once and in order, also when nothing trades there, and on days on which nothing trades.

    ``dated``: families of the fold itself, as those of parts (``HasDates``).
    """

    def __init__(
        self, calendar: SessionCalendar, parts: Sequence[Part], dated: Sequence[str] = ()
    ) -> None:
        self._calendar = calendar
        self.parts = tuple(parts)
        self.second_ms = -1
        self.cut_ms = -1
        self.day: TradingDay | None = None
        self.gaps: list[tuple[int, int]] = []
        self._boundary_ms = -1
        self._revision = calendar.revision
        self._ended = Changes()
        of_parts = [family for part in parts if isinstance(part, HasDates) for family in part.dated]
        self._dated = (*dated, *of_parts)

    def covers(self, timestamp_ms: int) -> bool:
        """Whether the calendar knows this time; an event outside is bad input."""
        return self._calendar.first_ms <= timestamp_ms < self._calendar.end_ms

    def cut(self, timestamp_ms: int, bars: Iterable[Bar], late: Iterable[Bar]) -> bool:
        """End the current second with its bars and stand in ``timestamp_ms``'s.

        Returns True when a new trading day has begun.
        """
        for part in self.parts:
            part.cut(bars, late)
        return self.stand(timestamp_ms // SECOND_MS * SECOND_MS)

    def stand(self, second_ms: int) -> bool:
        """Move to a second without ending one; True when a new trading day has begun."""
        if self._revision != self._calendar.revision:
            self._correct()
        began = self.day
        if began is None:
            self._enter(self._calendar.day_at(second_ms), second_ms)
        while self._boundary_ms <= second_ms:
            self._reach(self._boundary_ms, last=second_ms)
        day = self.day
        assert day is not None
        self.second_ms, self.cut_ms = second_ms, second_ms + SECOND_MS
        for part in self.parts:
            part.clock(second_ms, day)
        return day is not began

    def _correct(self) -> None:
        """Ask again for the day that we are in: its hours were corrected, perhaps."""
        self._revision = self._calendar.revision
        if self.day is not None:
            self._enter(self._calendar.day(self.day.date), self.second_ms)

    def _enter(self, day: TradingDay, now_ms: int) -> TradingDay:
        self.day = day
        self._boundary_ms = next_boundary_ms(day, now_ms)
        return day

    def _reach(self, boundary_ms: int, last: int) -> None:
        """Stand at a boundary; at the ``last`` second the parts stand anyway."""
        day = self.day
        assert day is not None
        if boundary_ms == day.next_turn_ms:
            self._end_day(day)
            ended, day = day, self._calendar.day_at(boundary_ms)
            self._ended.outdated.update(self._outdated(ended, day))
        self._enter(day, boundary_ms)
        if boundary_ms < last:
            for part in self.parts:
                part.clock(boundary_ms, day)

    def _end_day(self, day: TradingDay) -> None:
        """Stand in the day's last second, so that everything closes that can.

        Its last changes are kept for the next drain: parts forget the day.
        """
        for part in self.parts:
            part.clock(day.next_turn_ms - SECOND_MS, day)
        self._ended = self.drain(())

    def _outdated(self, ended: TradingDay, day: TradingDay) -> dict[str, str]:
        """Which date of each family is the first kept from now on."""
        kept = first_kept(self._calendar, day.date)
        firsts = {one: ended.date if one.startswith(PRIVATE) else kept for one in self._dated}
        return {family: first for family, first in firsts.items() if first}

    def gap(self, gap: Gap) -> None:
        """Tell every part of a loss; ranges that touch within a second become one.

        The last range is kept, and every one that may touch a candle that can still change.
        """
        from_ms, to_ms = gap.from_ms, gap.to_ms
        if self.gaps and from_ms <= self.gaps[-1][1] + SECOND_MS:
            from_ms = min(from_ms, self.gaps[-1][0])
            to_ms = max(to_ms, self.gaps.pop()[1])
        oldest_ms = self.second_ms - LATENESS_MS - 60 * SECOND_MS
        self.gaps = [*(known for known in self.gaps if known[1] > oldest_ms), (from_ms, to_ms)]
        for part in self.parts:
            part.gap(gap.from_ms, gap.to_ms)

    def refer(self, references: Iterable[Reference]) -> None:
        """Give reference rows to every part."""
        rows = list(references)
        for part in self.parts:
            part.refer(rows)

    def learn(self, facts: Iterable[Fact]) -> None:
        """Give facts to the parts that take them."""
        for part in self.parts:
            if isinstance(part, TakesFacts):
                part.learn(facts)

    def finish(self) -> None:
        """Close what is open: the replay has ended."""
        for part in self.parts:
            part.finish()

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """The parts' changes, merged."""
        changes, self._ended = self._ended, Changes()
        for part in self.parts:
            changes.merge(part.drain(unfinished))
        return changes

    def renew(self) -> None:
        """Make the next drain write everything."""
        for part in self.parts:
            part.renew()

    def hashes(self, second_ms: int) -> list[str]:
        """The parts' private hashes as of ``second_ms``."""
        date = self._calendar.trading_date(second_ms)
        return [name for part in self.parts for name in part.hashes(second_ms, date)]

    def restore(self, standing: Standing, private: Hashes) -> None:
        """Restore the parts and stand where the earlier owner stood."""
        for part in self.parts:
            part.restore(private)
        self.stand(standing.second_ms)
        self.gaps = standing.gaps
        for from_ms, to_ms in standing.gaps:
            for part in self.parts:
                part.gap(from_ms, to_ms)

    def pack(self, late: list[Bar]) -> bytes:
        """Where this owner stands."""
        return _encode(Standing(self.second_ms, late, self.gaps))


def next_boundary_ms(day: TradingDay, now_ms: int) -> int:
    """The first boundary of a trading day after a time in it; its last is the next turn."""
    boundaries = (day.pre_ms, day.open_ms, day.close_ms, day.post_ms)
    return next((at_ms for at_ms in boundaries if at_ms > now_ms), day.next_turn_ms)


def first_kept(calendar: SessionCalendar, date: str) -> str:
    """The oldest trading date whose rows stay; empty where the calendar does not reach."""
    try:
        for _ in range(KEPT_SESSIONS):
            date = calendar.previous_session(date).date
    except CalendarRangeError:
        return ""
    return date


def read_standing(packed: bytes | None) -> Standing | None:
    """Read ``ShardClock.pack`` back; None for a shard that nobody has folded yet."""
    return _decode(packed) if packed else None


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Standing).decode
