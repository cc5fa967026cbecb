"""What each symbol traded in the last minutes: sums over the last N whole seconds.

A window of N seconds ends at the last cut: it holds the seconds ``[cut - N, cut)`` and
nothing of the unfinished one. Its base is the last price before it begins. So a second
matters to a window twice: when it enters and when it leaves, N seconds later. Seconds are
kept for as long as a late trade may still amend them, as columns of numbers and not as
objects (30 bytes for each symbol that traded in one), and pass four fixed lags behind the
cut: 0, 1, 5 and 15 minutes. What a lag has left behind is added up; a window is the
difference between two lags.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import msgpack

from tapewire.analyzers.bars import SECOND_MS, Bar
from tapewire.analyzers.window_columns import Arrivals, Columns, Entry, Lag
from tapewire.model.events import Aggregate

LAGS_S: Final = (0, 60, 300, 900)
"""Seconds behind the cut; the last is also how late a trade may come."""

LONGEST_S: Final = LAGS_S[-1]
MICRO: Final = 1_000_000
"""Shares are added up in whole millionths: sums are exact, whatever their order."""

SLOT_MS: Final = 300 * SECOND_MS
_SHORT_JUMP: Final = 64
_NO_PRICE: Final = -1


class Settled(Protocol):
    """Who is told what can no longer change."""

    def settle(self, second: int, symbols: Iterable[str], volumes: Iterable[int]) -> None:
        """A second, once and in order: unix time, symbols, volumes in millionths."""

    def close(self, before: int) -> None:
        """Every second before this one, the begin of a minute, has been told."""


Figures = tuple[float | None, float | None, float | None, int | float, int | float]
"""pct_change_1m, pct_change_5m, pct_change_15m, volume_1m, volume_5m."""

_NOTHING: Final[Figures] = (None, None, None, 0, 0)


class Windows:
    """The windows of one shard's symbols on one trading day.

    ``settled`` is told every second once, in order, when nothing can amend it any more.
    Seconds stay in memory until the minute in which that happens has ended, so that who is
    told may begin that minute again after a restart.
    """

    def __init__(self, settled: Settled) -> None:
        self._settled = settled
        self._slots: set[int] = set()  # private hashes that are, or will be, stored
        self._dropped: list[int] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything: a new trading day."""
        self.second = -1
        self._ids: dict[str, int] = {}
        self._symbols: list[str] = []
        self._ring: dict[int, Columns] = {}
        self._lags = tuple(Lag(behind_s) for behind_s in LAGS_S)
        self._first = 0
        self._young: set[int] = set()
        self._aged: set[int] = set()
        self._arrivals: Arrivals | None = None  # of the current second
        self._written: set[int] = set()  # seconds whose arrivals are, or will be, stored
        self._unwritten: dict[int, Arrivals] = {}

    def add(self, bars: Iterable[Bar]) -> None:
        """Put bars of trades in; each adds to its own second."""
        for bar in bars:
            has_price = bar.close_t >= 0
            if not bar.volume and not has_price:
                continue
            start = bar.start_ms // SECOND_MS
            time = bar.close_t - bar.start_ms if has_price else _NO_PRICE
            close = bar.close if has_price else 0.0
            entry = Entry(self._id(bar.symbol), _micro(bar.volume), close, time, bar.close_q)
            self._arrive(start, bar.symbol, entry)
            columns = self._columns(start)
            if start >= self.second:
                columns.append(entry)  # a cut brings each symbol's second once
            else:
                self._amend(start, entry.id, entry.volume, columns.merge(entry))

    def take(self, aggregate: Aggregate) -> None:
        """Put a provider's bar in, at the last second that it covers; sent again it replaces."""
        second = int(aggregate.end_timestamp) // SECOND_MS - 1
        volume = _micro(aggregate.volume)
        entry = Entry(self._id(aggregate.symbol), volume, aggregate.close, 0, 0)
        self._arrive(second, aggregate.symbol, entry, replaces=True)
        columns = self._columns(second)
        if columns.places is None and second >= self.second:
            columns.places = {symbol_id: at for at, symbol_id in enumerate(columns.ids)}
            self._young.add(second)
        self._amend(second, entry.id, columns.replace(entry), entry.close)

    def _id(self, symbol: str, close: float = 0.0, second: int = -1) -> int:
        found = self._ids.get(symbol)
        if found is None:
            found = self._ids[symbol] = len(self._symbols)
            self._symbols.append(symbol)
            for lag in self._lags:
                lag.grow(close, second)
        return found

    def _arrive(self, second: int, symbol: str, entry: Entry, *, replaces: bool = False) -> None:
        now, arrivals = self.second, self._arrivals
        if arrivals is None:
            arrivals = self._arrivals = Arrivals(replaces)
        arrivals.append(now - second, symbol, entry)
        self._unwritten[now] = arrivals
        self._written.add(now)
        self._slots.add(_slot(now))

    def _columns(self, second: int) -> Columns:
        columns = self._ring.get(second)
        if columns is None:
            columns = self._ring[second] = Columns()
        return columns

    def _amend(self, second: int, i: int, volume: int, close: float) -> None:
        for lag in self._lags:
            if second >= self.second - lag.behind_s:
                return  # the lags to come are further behind
            lag.amend(second, i, volume, close)

    def clock(self, second_ms: int) -> set[str]:
        """The cut now stands at a second; returns the symbols whose windows changed by that."""
        before, self.second = self.second, second_ms // SECOND_MS
        if before < 0 or before == self.second:
            return set()
        self._arrivals = None
        moved: set[int] = set()
        for lag in self._lags:
            for second in self._between(before - lag.behind_s, self.second - lag.behind_s):
                columns = self._ring[second]
                lag.pass_second(second, columns)
                moved.update(columns.ids)
                if lag.behind_s == LONGEST_S:
                    self._aged.update(columns.ids)
                    self._tell(second, columns)
        self._forget()
        return {self._symbols[i] for i in moved}

    def _between(self, first: int, end: int) -> Sequence[int]:
        """Seconds that hold something, in order."""
        if end - first == 1:
            return (first,) if first in self._ring else ()
        if end - first <= _SHORT_JUMP:
            return [second for second in range(first, end) if second in self._ring]
        return sorted(second for second in self._ring if first <= second < end)

    def _tell(self, second: int, columns: Columns) -> None:
        self._settled.settle(second, [self._symbols[i] for i in columns.ids], columns.volumes)

    def _forget(self) -> None:
        """Give up whole minutes that have settled, and the index of all but young seconds."""
        first = _kept_from(self.second)
        if first > self._first:
            self._first = first
            self._settled.close(first)
            self._written = {second for second in self._written if second >= first}
            self._drop(_slot(first))
            for second in [second for second in self._ring if second < first]:
                del self._ring[second]
        for second in [second for second in self._young if second < self.second - 1]:
            self._young.discard(second)
            if second in self._ring:
                self._ring[second].places = None

    def _drop(self, first: int) -> None:
        """Private hashes before this slot are of no more use."""
        over = {slot for slot in self._slots if slot < first}
        self._slots -= over
        self._dropped += sorted(over)

    def drain_dropped(self) -> list[str]:
        """Names of private hashes that nobody will ask for again."""
        dropped, self._dropped = self._dropped, []
        return [f"{PREFIX}{slot}" for slot in dropped]

    def end_day(self) -> None:
        """Nothing more will come: settle what is left."""
        last = self.second - LONGEST_S
        for second in sorted(second for second in self._ring if second >= last):
            self._tell(second, self._ring[second])
        self._settled.close(self.second + LONGEST_S)
        self._drop(_slot(self.second) + SLOT_MS)

    def figures(self, symbol: str) -> Figures:
        """A symbol's changes and volumes over the windows, as of the last cut."""
        i = self._ids.get(symbol)
        if i is None:
            return _NOTHING
        now, one, five, fifteen = self._lags
        close, total = now.closes[i], now.volumes[i]
        return (
            _percent(close, one.closes[i]),
            _percent(close, five.closes[i]),
            _percent(close, fifteen.closes[i]),
            _shares(total - one.volumes[i]),
            _shares(total - five.volumes[i]),
        )

    def drain_aged(self) -> list[tuple[str, float, int]]:
        """Symbols whose longest window has another base now: its price and unix second.

        0.0 where there is no price yet.
        """
        if not self._aged:
            return []
        lag, aged = self._lags[-1], self._aged
        self._aged = set()
        return [(self._symbols[i], lag.closes[i], lag.seconds[i]) for i in aged]

    def drain(self) -> dict[str, dict[str, bytes]]:
        """Private state: what came since the last drain, by hash and second."""
        private: dict[str, dict[str, bytes]] = {}
        for second, arrivals in self._unwritten.items():
            private.setdefault(_slot_hash(second), {})[str(second)] = _encode(arrivals)
        self._unwritten = {}
        return private

    def renew(self) -> None:
        """Make the next drain write everything, over what was written before."""
        if self.second < 0:
            return
        self._written |= self._ring.keys()
        self._unwritten = {second: self._whole(second) for second in self._written}
        self._arrivals = self._unwritten.get(self.second)

    def _whole(self, second: int) -> Arrivals:
        columns = self._ring.get(second)
        arrivals = Arrivals(replaces=True)
        if columns is not None:
            arrivals.ages = [0] * len(columns.ids)
            arrivals.symbols = [self._symbols[i] for i in columns.ids]
            arrivals.volumes, arrivals.closes = columns.volumes.tolist(), columns.closes.tolist()
            arrivals.times = columns.times.tolist()
            arrivals.sequences = columns.sequences.tolist()
        return arrivals

    def restore(
        self,
        second_ms: int,
        turn_ms: int,
        stored: Mapping[str, Mapping[str, bytes]],
        oldest: Mapping[str, tuple[float, int]],
    ) -> None:
        """Stand where the earlier owner stood.

        Args:
            second_ms: the second that it had not finished.
            turn_ms: when the trading day began; what was before it is nobody's any more.
            stored: its private hashes (``hashes``), by name and second.
            oldest: each symbol's base of the longest window (``drain_aged``).
        """
        self.clear()
        self.second = second_ms // SECOND_MS
        for symbol, (close, second) in oldest.items():
            self._id(symbol, close, second)
        self._first = _kept_from(self.second)
        self._slots = {int(name.removeprefix(PREFIX)) for name, values in stored.items() if values}
        chunks = {int(at): value for values in stored.values() for at, value in values.items()}
        for at in sorted(chunks):
            if self._first <= at <= self.second:
                arrivals = _decode(chunks[at])
                self._written.add(at)
                self._put_back(at, arrivals, max(self._first, turn_ms // SECOND_MS))
                if at == self.second:
                    self._arrivals = arrivals
        self._pass_again()

    def _put_back(self, at: int, arrivals: Arrivals, first: int) -> None:
        for age, symbol, volume, close, time, sequence in arrivals.rows():
            second = at - age
            if second < first:
                continue
            entry = Entry(self._id(symbol), volume, close, time, sequence)
            columns = self._columns(second)
            if columns.places is None:
                columns.places = {}
                self._young.add(second)
            put = columns.replace if arrivals.replaces else columns.merge
            put(entry)

    def _pass_again(self) -> None:
        """Let every lag pass what it had passed, and tell what had been told of this minute."""
        for second in sorted(self._ring):
            for lag in self._lags:
                if second < self.second - lag.behind_s:
                    lag.pass_second(second, self._ring[second])
            if second < self.second - LONGEST_S:
                self._tell(second, self._ring[second])
        self._forget()


def hashes(second_ms: int) -> list[str]:
    """Private hashes that ``restore`` needs of an owner that stood in this second."""
    first_ms = _kept_from(second_ms // SECOND_MS) * SECOND_MS // SLOT_MS * SLOT_MS
    return [f"{PREFIX}{slot}" for slot in range(first_ms, second_ms + SECOND_MS, SLOT_MS)]


PREFIX: Final = "windows:"


def _slot(second: int) -> int:
    return second * SECOND_MS // SLOT_MS * SLOT_MS


def _slot_hash(second: int) -> str:
    return f"{PREFIX}{_slot(second)}"


def _kept_from(second: int) -> int:
    """The oldest second in memory: begin of the minute that the longest lag is passing."""
    return (second - LONGEST_S) // 60 * 60


def _micro(volume: float) -> int:
    return volume * MICRO if isinstance(volume, int) else round(volume * MICRO)


def _shares(micro: int) -> int | float:
    whole, rest = divmod(micro, MICRO)
    return micro / MICRO if rest else whole


def _percent(close: float, base: float) -> float | None:
    return 100 * (close - base) / base if base and close else None


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Arrivals).decode
