"""How the feeds are, in one word and one sentence; each market's for itself."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from tapewire.model.markets import US, Market

QUIET_MS: Final = 10_000
"""Rows that are older than this are no longer live."""

DELAYED_MS: Final = (60_000, 3_600_000)
"""Event time this far behind the clock is a delayed feed; further is a replay."""


class Condition(Struct, frozen=True):
    """How the feeds are: ``live``, ``stale``, ``closed`` or ``delayed``."""

    state: str = "stale"
    since_ms: int = 0
    reason: str = "starting"


BEST_FIRST: Final = ("live", "delayed", "closed", "stale")
NOT_CARRIED: Final = Condition(reason="nothing of this market comes here")


class Conditions(Struct, frozen=True):
    """The conditions of the markets that are carried, by name."""

    known: Mapping[str, Condition] = field(default_factory=lambda: {US.name: Condition()})

    def of(self, market: Market | None) -> Condition:
        """A market's; where rows may be of several (None), the best of all."""
        if market is not None:
            return self.known.get(market.name, NOT_CARRIED)
        return min(self.known.values(), key=lambda one: BEST_FIRST.index(one.state))


class Signs(Struct, frozen=True):
    """What tells how a market's feeds are.

    ``away``: why the cache cannot be followed, empty if it can; ``quiet_ms``: since rows
    last came, None before the first; ``lag_ms``: wall clock minus event time, None when
    nobody says; ``is_open``: whether a session of the market is on by the wall clock;
    ``trouble``: what a listener says is wrong, empty if nothing.
    """

    away: str
    quiet_ms: float | None
    lag_ms: float | None = None
    is_open: bool = True
    trouble: str = ""


def judge(signs: Signs) -> tuple[str, str]:
    """State and reason."""
    if signs.away:
        return "stale", signs.away
    if signs.quiet_ms is None or signs.quiet_ms > QUIET_MS:
        if not signs.is_open:
            return "closed", "the market is closed"
        return "stale", signs.trouble or "nothing new from the market"
    least_ms, most_ms = DELAYED_MS
    if signs.lag_ms is not None and least_ms <= signs.lag_ms <= most_ms:
        return "delayed", f"about {round(signs.lag_ms / 60_000)} min behind the clock"
    return "live", ""


def next_condition(known: Condition, signs: Signs, now_ms: int) -> Condition:
    """The condition now; ``since_ms`` stays while the state does."""
    state, reason = judge(signs)
    since_ms = known.since_ms if known.state == state and known.since_ms else now_ms
    return Condition(state, since_ms, reason)
