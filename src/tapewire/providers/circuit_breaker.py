"""A circuit breaker: stop calling what keeps failing, and look again slowly.

Pure: the monotonic clock is passed in. Used around every provider's REST and every external
sink, never around the flush to the store, which waits and does not skip (``components.md`` 10).
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class BreakerState(StrEnum):
    """Closed lets calls through, open refuses them, half-open waits for one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerCounts(Struct):
    """What a breaker has seen since it was made; ``rejected``: calls refused while not closed."""

    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    opened: int = 0


class CircuitBreaker:
    """Opens at ``failures`` failures within ``window_s``; one probe after ``probe_after_s``.

    A failed probe doubles the wait up to ``longest_wait_s``; a successful one closes the breaker.
    ``begin`` hands out a ticket, and exactly one of ``succeeded``, ``failed``, ``abandoned``
    takes it back. A ticket from before the last change of state is counted and decides nothing,
    so that a slow call of the past is not taken for the probe. ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures: int = 5,
        window_s: float = 30.0,
        probe_after_s: float = 10.0,
        longest_wait_s: float = 60.0,
    ) -> None:
        if failures < 1:
            raise ValueError(f"failures is {failures}; a breaker opens at one failure or more")
        self._clock = clock
        self._window_s = window_s
        self._first_wait_s = self._wait_s = probe_after_s
        self._longest_wait_s = longest_wait_s
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._ticket = 0
        self._probe_at = 0.0
        self.state = BreakerState.CLOSED
        self.counts = BreakerCounts()

    @property
    def retry_in_s(self) -> float:
        """Seconds until the next probe may start; 0 when one may, or when closed."""
        if self.state is not BreakerState.OPEN:
            return 0.0
        return max(self._probe_at - self._clock(), 0.0)

    def begin(self) -> int | None:
        """Return a ticket for one call, or None when it must not be made now."""
        if self.state is BreakerState.CLOSED:
            return self._ticket
        if self.state is BreakerState.OPEN and self.retry_in_s == 0.0:
            self._become(BreakerState.HALF_OPEN)
            return self._ticket
        self.counts.rejected += 1
        return None

    def succeeded(self, ticket: int) -> None:
        """The call was answered."""
        self.counts.succeeded += 1
        if ticket == self._ticket and self.state is BreakerState.HALF_OPEN:
            self._wait_s = self._first_wait_s
            self._failed_at.clear()
            self._become(BreakerState.CLOSED)

    def failed(self, ticket: int) -> None:
        """The call was not answered, or with a failure of the other side."""
        self.counts.failed += 1
        if ticket != self._ticket:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._open(min(self._wait_s * 2, self._longest_wait_s))
        elif self._too_many(self._clock()):
            self._open(self._first_wait_s)

    def abandoned(self, ticket: int) -> None:
        """The call was cancelled before it could tell anything; a probe may start at once."""
        if ticket == self._ticket and self.state is BreakerState.HALF_OPEN:
            self._probe_at = self._clock()
            self._become(BreakerState.OPEN)

    def _too_many(self, now: float) -> bool:
        failed_at = self._failed_at
        failed_at.append(now)
        return len(failed_at) == failed_at.maxlen and now - failed_at[0] <= self._window_s

    def _open(self, wait_s: float) -> None:
        self.counts.opened += 1
        self._wait_s = wait_s
        self._probe_at = self._clock() + wait_s
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._ticket += 1
