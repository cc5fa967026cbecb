"""A token bucket that says how long to wait; pure, the monotonic clock is passed in."""

from collections.abc import Callable

from msgspec import Struct


class RateLimit(Struct, frozen=True):
    """At most ``calls`` in ``per_s`` seconds on average, at most ``burst`` of them at once."""

    calls: float
    per_s: float
    burst: int = 1

    def __post_init__(self) -> None:
        """Refuse a limit that would never let a call through."""
        if self.calls <= 0 or self.per_s <= 0 or self.burst < 1:
            raise ValueError(
                f"rate limit {self.calls} calls in {self.per_s} s, burst {self.burst}: "
                "calls and seconds must be above 0 and the burst at least 1"
            )


class TokenBucket:
    """Spaces calls to a `RateLimit`, in the order in which they ask.

    In any window of T seconds at most ``burst + calls * T / per_s`` calls go.
    """

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._interval_s = limit.per_s / limit.calls
        self._tolerance_s = self._interval_s * (limit.burst - 1)
        self._full_at = clock()

    def reserve(self) -> float:
        """Take one token; return the seconds to wait before the call may go."""
        now = self._clock()
        full_at = max(self._full_at, now)
        self._full_at = full_at + self._interval_s
        return max(full_at - self._tolerance_s - now, 0.0)

    def pause(self, seconds: float) -> None:
        """Let nobody who asks from now on go for this long."""
        self._full_at = max(self._full_at, self._clock() + seconds + self._tolerance_s)
