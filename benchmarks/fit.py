"""Make a peak for the speed that this machine reaches at this moment.

Event time is to run at wall speed, so the frames depend on how fast they will be folded:
runs that do not count find it out.
"""

from collections.abc import Callable
from typing import Final

from benchmarks.peak import Peak, make_peak
from benchmarks.plan import Plan
from benchmarks.report import say

SHORT: Final = 0.4
"""The first run's share of the time asked for: it only replaces a guess."""

CLOSE: Final = 0.15
"""How far off the speed may be; the machine is rarely steadier."""

MOST: Final = 4
MARGIN: Final = 1.25
"""More events than the time asked for needs, so that a faster run is not too short."""


def fit(plan: Plan, guess: float, rate_of: Callable[[Peak], float]) -> Peak:
    """A peak of at least ``plan.seconds``, one second of event time per second of work.

    ``rate_of`` folds a peak once and returns events a second; ``guess`` is the first.
    """
    rate = rate_of(_peak(plan, guess, SHORT))
    for _ in range(MOST):
        peak = _peak(plan, rate, MARGIN)
        reached = rate_of(peak)
        if abs(reached / rate - 1) <= CLOSE:
            return peak
        rate = reached
    say("the speed does not settle: the machine is busy, or slows down and up")
    return _peak(plan, rate, MARGIN)


def _peak(plan: Plan, rate: float, share: float) -> Peak:
    return make_peak(plan.recording, round(rate * plan.seconds * share), rate)
