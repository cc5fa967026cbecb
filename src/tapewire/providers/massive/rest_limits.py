"""What every process that uses one key should know: calls that are off, and a pause.

The contract only; ``caches/provider_limits.py`` keeps it in Redis. One process alone needs
nothing of it, since the transport remembers for itself what it was told.
"""

from typing import Protocol


class SharedLimits(Protocol):
    """Limits of one account, kept where all its processes look.

    No method raises when that place is away: each process then goes by what it saw itself.
    """

    async def look(self, call: str) -> tuple[float, float]:
        """Seconds for which this call stays off, and for which every call waits; 0 for none."""

    async def switch_off(self, call: str, seconds: float) -> None:
        """The provider answered 403: nobody asks for this before so many seconds are over."""

    async def pause(self, seconds: float) -> None:
        """The provider asked for patience: nobody asks for anything for so long."""


class Alone:
    """No other process."""

    async def look(self, call: str) -> tuple[float, float]:
        """Nothing is known beyond what this process saw."""
        return 0.0, 0.0

    async def switch_off(self, call: str, seconds: float) -> None:
        """Nobody to tell."""

    async def pause(self, seconds: float) -> None:
        """Nobody to tell."""
