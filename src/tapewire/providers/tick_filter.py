"""Which ticks are published as they are: a sample, those that moved, those on a list.

For readers of raw ticks only. What makes candles is never filtered: every tick moves the
cumulative volume on, and a price left out could have been the high (``components.md`` 10).
"""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from tapewire.market.ticks import instrument_key
from tapewire.model.events import Tick


class TickRules(Struct, frozen=True, kw_only=True):
    """What passes: the first tick of an instrument, then what every rule lets through.

    ``sample`` is N of 1:N, per instrument; ``min_change`` the least move from the last price
    that passed, in the instrument's currency. ``allow`` (empty: everything) and ``deny`` hold
    exchanges (``NSE_FO``), tokens on any exchange (``8765``) and instruments
    (``NSE_FO:8765``); what is on both is denied.
    """

    sample: int = 1
    min_change: float = 0.0
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse numbers that no tick or every tick would pass by mistake."""
        if self.sample < 1:
            raise ValueError(f"TICK_FILTER_SAMPLE is {self.sample}; one in N needs N of 1 or more")
        if not self.min_change >= 0:
            raise ValueError(f"TICK_FILTER_MIN_CHANGE is {self.min_change}; expected 0 or more")

    def allows(self, exchange: str, token: str) -> bool:
        """Whether the lists let an instrument through."""
        names = {exchange, token, instrument_key(exchange, token)}
        return names.isdisjoint(self.deny) and not (self.allow and names.isdisjoint(self.allow))


class _Passed(Struct):
    """Of one instrument: the last price that passed, and the ticks left out since the sample."""

    price: float
    since: int = 0


class TickFilter:
    """Applies `TickRules` to valid ticks, in order.

    ``dropped`` counts what did not pass: ``denied``, ``sampled`` (not one of the 1:N),
    ``unmoved`` (it was, but moved too little).
    """

    def __init__(self, rules: TickRules) -> None:
        self._rules = rules
        self._passed: dict[tuple[str, str], _Passed | None] = {}
        self.dropped: Counter[str] = Counter()

    def keep(self, ticks: Iterable[Tick]) -> list[Tick]:
        """The ticks to publish."""
        return [tick for tick in ticks if self.passes(tick)]

    def passes(self, tick: Tick) -> bool:
        """Whether to publish a tick; each is asked about once."""
        reason = self._objection(tick)
        if reason:
            self.dropped[reason] += 1
        return not reason

    def _objection(self, tick: Tick) -> str | None:
        name, price = (tick.exchange, tick.token), tick.last_price or 0.0
        try:
            passed = self._passed[name]
        except KeyError:
            allowed = self._rules.allows(*name)
            self._passed[name] = _Passed(price) if allowed else None
            return None if allowed else "denied"
        if passed is None:
            return "denied"
        passed.since += 1
        if passed.since < self._rules.sample:
            return "sampled"
        passed.since = 0
        if abs(price - passed.price) + _ROUNDING * price < self._rules.min_change:
            return "unmoved"
        passed.price = price
        return None


_ROUNDING = 1e-12
"""Of a price: 100.10 - 100.05 is a little less than 0.05 in binary and passes all the same."""
