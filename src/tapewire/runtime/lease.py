"""The lease contract: one holder at a time, with an epoch that only grows."""

from enum import Enum
from typing import Protocol


class Renewal(Enum):
    """Answer to a renewal. An unanswered one does not stop the holder; a refusal does."""

    HELD = "held"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


class Lease(Protocol):
    """One named lease. The epoch is ``max(last + 1, unix ms)`` at each acquisition."""

    async def acquire(self) -> int | None:
        """Take the lease; return the new epoch, or None while somebody else holds it."""

    async def renew(self) -> Renewal:
        """Extend it."""

    async def release(self) -> None:
        """Give it up if it is ours."""


class LocalLease:
    """The in-process twin: always free, for the embedded default and for tests."""

    def __init__(self, epoch: int) -> None:
        self._next_epoch = epoch

    async def acquire(self) -> int | None:
        """Return the given epoch, one more each time."""
        epoch, self._next_epoch = self._next_epoch, self._next_epoch + 1
        return epoch

    async def renew(self) -> Renewal:
        """Nobody can take it away."""
        return Renewal.HELD

    async def release(self) -> None:
        """Nothing to give back."""
