"""The events of one made-up day, second by second: trades, quotes, crosses, halts, bars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from tapewire.simulators.bars import Bars, DayTotals
from tapewire.simulators.made_up_market import Activity, MarketDay, activity, mix
from tapewire.simulators.sources import Slice, TimedEvent, time_of

_FINRA: Final = 4
_FORM_T: Final = 12
_EXCHANGES: Final = (4, 4, 4, 4, 4, 4, 0, 0, 0, 0, 12, 11, 19, 8, 21, 15)  # 0: where it is listed
_LOTS: Final = (100, 100, 100, 100, 100, 100, 100, 200, 200, 200, 300, 300, 400, 500, 500, 1000)
_MIX: Final = (
    *((False, ()),) * 12, *((False, (14, 41)),) * 7, (False, (10,)),
    *((True, (37,)),) * 8, *((True, (14, 37, 41)),) * 4,
)  # fmt: skip
"""Of 32 trades: (odd lot?, conditions in the regular session)."""
MEAN_SIZE: Final = 137
"""Shares of an ordinary trade, on average over `_MIX`, odd lots and `_LOTS`."""
CROSS_SHARE: Final = {"open": 0.015, "close": 0.05}
"""Shares of the two crosses, in parts of what trades outside them."""
_CROSS_SPREAD_MS: Final = {"open": 30_000, "close": 20_000}
_A_DUE_MS, _A_SPREAD_MS = 100, 300
_AM_DUE_MS, _AM_SPREAD_MS = 500, 400


class Print(NamedTuple):
    """A trade before it has a sequence number."""

    time_ms: int
    rank: int
    cents: int
    size: int
    conditions: tuple[int, ...]
    exchange: int


class _Spread(NamedTuple):
    """A quote before it has a sequence number."""

    time_ms: int
    rank: int
    middle: int
    reach: int
    bits: int


class DayTape:
    """The events of one day from a second on (seconds since 04:00)."""

    def __init__(self, seed: int, day: MarketDay, rate: float, second: int) -> None:
        self._seed = seed
        self._day = day
        self._rate = rate
        self._first_second = second
        self._date_key = int(day.hours.date.replace("-", ""))
        self._activity = Activity(day)
        totals = {one.symbol: self._totals(one.rank, second) for one in day.listings}
        self._seconds = Bars("A", 1000, totals, counts_day=True)
        self._minutes = Bars("AM", 60_000, totals, counts_day=False)
        self._halted = {halt.rank: halt for halt in day.halts}
        self._crosses = self._planned_crosses()
        self._condition_json: dict[tuple[int, ...], str] = {}

    def slices(self) -> Iterator[Slice]:
        """A slice per second; bars follow in the second after theirs."""
        due: Slice = []
        for second in range(self._first_second, self._day.end_s):
            events = due + self._second(second)
            events.sort(key=time_of)
            due = self._bars(second)
            yield events
        yield due

    def _second(self, second: int) -> Slice:
        random = Random(mix(self._seed, self._date_key, second))
        prints, quotes = self._draw(second, random)
        prints += self._crosses.get(second, ())
        prints += self._reopenings(second)
        prints.sort()
        regular = self._day.open_s <= second < self._day.close_s
        events = self._halt_events(second)
        for number, one in enumerate(prints):
            symbol, price = self._day.listings[one.rank].symbol, one.cents / 100
            self._seconds.add(symbol, price, one.size, one.conditions, regular)
            self._minutes.add(symbol, price, one.size, one.conditions, regular)
            events.append(self._trade(one, second * 100_000 + number))
        quotes.sort()
        events += [self._quote(one, second * 100_000 + n) for n, one in enumerate(quotes)]
        return events

    def _draw(self, second: int, random: Random) -> tuple[list[Print], list[_Spread]]:
        """A second's ordinary trades, and a quote beside every other one."""
        day = self._day
        burst = 0.7 + 0.6 * random.random()
        count = int(self._rate * activity(second, day) * burst + random.random())
        ranks = random.choices(range(len(day.shares)), cum_weights=day.cumulated_shares, k=count)
        base_ms = day.hours.turn_ms + second * 1000
        extended = not day.open_s <= second < day.close_s
        prints: list[Print] = []
        quotes: list[_Spread] = []
        for rank in ranks:
            bits = random.getrandbits(48)
            if self._is_halted(rank, second):
                continue
            middle = self._cents(rank, second)
            reach = 1 + middle // 5000
            time_ms = base_ms + bits % 1000
            prints.append(self._ordinary(rank, time_ms, middle, reach, bits >> 10, extended))
            if bits & 1:
                quotes.append(_Spread(time_ms, rank, middle, reach, bits))
        return prints, quotes

    def _ordinary(
        self, rank: int, time_ms: int, middle: int, reach: int, bits: int, extended: bool
    ) -> Print:
        odd, conditions = _MIX[bits & 31]
        exchange = _EXCHANGES[bits >> 5 & 15] or self._day.listings[rank].exchange
        size = 1 + (bits >> 9) % 99 if odd else _LOTS[bits >> 9 & 15]
        cents = max(1, middle + (bits >> 16) % (2 * reach + 1) - reach)
        if extended:
            conditions = (_FORM_T, *conditions)
        return Print(time_ms, rank, cents, size, conditions, exchange)

    def _planned_crosses(self) -> dict[int, list[Print]]:
        """Opening and closing crosses and the official prices after them, by second."""
        crosses: dict[int, list[Print]] = {}
        for listing in self._day.listings:
            for kind in ("open", "close"):
                for one in self._cross(kind, listing.rank):
                    second = (one.time_ms - self._day.hours.turn_ms) // 1000
                    crosses.setdefault(second, []).append(one)
        return crosses

    def _cross(self, kind: str, rank: int) -> tuple[Print, Print]:
        """The cross, and the official price a millisecond later."""
        day = self._day
        listing = day.listings[rank]
        nasdaq = listing.tape == 3
        wait_ms = mix(self._seed, self._date_key, rank, len(kind)) % _CROSS_SPREAD_MS[kind]
        if rank < 50:
            wait_ms %= 900
        if kind == "open":
            at_ms, price, official = day.hours.open_ms, day.opens[rank], 16
            condition = 25 if nasdaq else 17
        else:
            at_ms, price, official = day.hours.close_ms, day.closes[rank], 15
            condition = 8 if nasdaq else 19
        size = self._cross_size(kind, rank)
        cents = round(price * 100)
        cross = Print(at_ms + wait_ms, rank, cents, size, (condition,), listing.exchange)
        return cross, cross._replace(time_ms=cross.time_ms + 1, conditions=(official,))

    def _cross_size(self, kind: str, rank: int) -> int:
        shares = self._expected(rank, self._day.end_s) * CROSS_SHARE[kind]
        return max(1, round(shares / 100)) * 100

    def _expected(self, rank: int, second: int) -> float:
        """Shares that trade until a second, on average, crosses aside."""
        return self._rate * self._activity.until(second) * self._day.shares[rank] * MEAN_SIZE

    def _totals(self, rank: int, second: int) -> DayTotals:
        """A ticker's day so far when the tape begins at ``second``."""
        day = self._day
        volume = round(self._expected(rank, second))
        opened = second > day.open_s + _CROSS_SPREAD_MS["open"] // 1000
        if opened:
            volume += self._cross_size("open", rank)
        mean = (day.opens[rank] + day.price(rank, second)) / 2
        return DayTotals(volume, mean, day.opens[rank] if opened else None)

    def _is_halted(self, rank: int, second: int) -> bool:
        halt = self._halted.get(rank)
        return halt is not None and halt.begin_s <= second < halt.end_s

    def _halt_events(self, second: int) -> Slice:
        """LULD 17 when a halt begins, 18 when it ends."""
        events: Slice = []
        for halt in self._day.halts:
            for at_s, indicator in ((halt.begin_s, 17), (halt.end_s, 18)):
                if at_s == second:
                    events.append(self._luld(halt.rank, second, indicator))
        return events

    def _luld(self, rank: int, second: int, indicator: int) -> TimedEvent:
        listing = self._day.listings[rank]
        time_ms = self._day.hours.turn_ms + second * 1000
        price = self._day.price(rank, second)
        text = (
            f'{{"ev":"LULD","h":{price * 1.05:.2f},"l":{price * 0.95:.2f},"i":[{indicator}],'
            f'"z":{listing.tape},"T":"{listing.symbol}","t":{time_ms * 1_000_000},"q":{second}}}'
        )
        return time_ms, f"LULD.{listing.symbol}", text

    def _reopenings(self, second: int) -> list[Print]:
        """The reopening cross of a halt that ends this second."""
        base_ms = self._day.hours.turn_ms + second * 1000
        return [
            Print(base_ms, halt.rank, self._cents(halt.rank, second), 5000, (28,), 12)
            for halt in self._day.halts
            if halt.end_s == second
        ]

    def _cents(self, rank: int, second: int) -> int:
        return round(self._day.price(rank, second) * 100)

    def _trade(self, one: Print, sequence: int) -> TimedEvent:
        listing = self._day.listings[one.rank]
        more = self._c(one.conditions)
        if one.exchange == _FINRA:
            more += f',"trfi":{201 + sequence % 2}'
        text = (
            f'{{"ev":"T","sym":"{listing.symbol}","x":{one.exchange},"i":"{sequence}",'
            f'"z":{listing.tape},"p":{one.cents / 100},"s":{one.size}{more},'
            f'"t":{one.time_ms},"q":{sequence}}}'
        )
        return one.time_ms, f"T.{listing.symbol}", text

    def _c(self, conditions: tuple[int, ...]) -> str:
        text = self._condition_json.get(conditions)
        if text is None:
            text = f',"c":{json.dumps(conditions, separators=(",", ":"))}' if conditions else ""
            self._condition_json[conditions] = text
        return text

    def _quote(self, one: _Spread, sequence: int) -> TimedEvent:
        listing = self._day.listings[one.rank]
        bid, ask = max(1, one.middle - one.reach) / 100, (one.middle + one.reach) / 100
        text = (
            f'{{"ev":"Q","sym":"{listing.symbol}","bx":{listing.exchange},"bp":{bid},'
            f'"bs":{1 + (one.bits >> 20 & 15)},"ax":{listing.exchange},"ap":{ask},'
            f'"as":{1 + (one.bits >> 24 & 15)},"c":0,"t":{one.time_ms},"q":{sequence},'
            f'"z":{listing.tape}}}'
        )
        return one.time_ms, f"Q.{listing.symbol}", text

    def _bars(self, second: int) -> Slice:
        """The bars that end with this second, due in the next one."""
        end_ms = self._day.hours.turn_ms + (second + 1) * 1000
        bars = self._seconds.close(end_ms - 1000, end_ms + _A_DUE_MS, _A_SPREAD_MS)
        if (second + 1) % 60 == 0:
            minute = self._minutes.close(end_ms - 60_000, end_ms + _AM_DUE_MS, _AM_SPREAD_MS)
            if second - self._first_second >= 59:
                bars += minute
        return bars
