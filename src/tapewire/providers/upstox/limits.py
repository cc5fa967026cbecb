"""How much an Upstox plan allows: connections a user, instruments a mode.

Seen by several independent users (there is no official page): defaults, not law.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tapewire.providers.upstox.messages import Mode


class Plan(StrEnum):
    """The account's plan, which sets the limits."""

    STANDARD = "standard"
    PLUS = "plus"


class Limit(Struct, frozen=True):
    """Instruments in a mode when it is the only one in use, and when it is not."""

    alone: int
    combined: int


Limits = Mapping[Mode, Limit]

_STANDARD: Final[Limits] = {
    Mode.LTPC: Limit(5000, 2000),
    Mode.OPTION_GREEKS: Limit(3000, 2000),
    Mode.FULL: Limit(2000, 1500),
}
LIMITS: Final[Mapping[Plan, Limits]] = {
    Plan.STANDARD: _STANDARD,
    Plan.PLUS: {**_STANDARD, Mode.FULL_D30: Limit(50, 1500)},
}
MAX_CONNECTIONS: Final[Mapping[Plan, int]] = {Plan.STANDARD: 2, Plan.PLUS: 5}


class LimitError(ValueError):
    """More instruments than the plan allows; nothing was subscribed."""


def check(modes: Iterable[Mode], limits: Limits) -> None:
    """Compare what would be subscribed, a mode for each instrument. Raises LimitError."""
    counts = Counter(modes)
    for mode, count in counts.items():
        limit = limits.get(mode)
        if limit is None:
            raise LimitError(f"mode {mode} is not in the plan; it has {', '.join(limits)}")
        allowed = limit.alone if len(counts) == 1 else limit.combined
        if count > allowed:
            raise LimitError(f"{count} instruments in mode {mode}; the plan allows {allowed}")
