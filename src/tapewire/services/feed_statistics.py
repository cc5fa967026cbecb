"""What a feed over several brokers counts and remembers of itself, for reports and metrics."""

from collections import Counter

from msgspec import Struct, field


class FeedStatistics(Struct):
    """Counts since the feed was made.

    ``connections``: stretches of data without a hole; a new one means that something was
    missed before it. ``switched_to``: how often a broker took another one's place.
    ``overlapped``: frames of a broker that was not listened to. ``behind``: ticks after a
    change that the broker before had told already.
    """

    connections: int = 0
    switches: int = 0
    switched_to: Counter[str] = field(default_factory=Counter)
    overlapped: int = 0
    behind: int = 0
    refresh_failures: int = 0


class FeedSwitch(Struct, frozen=True):
    """A change of the active broker as reports show it, at wall-clock ms."""

    at_ms: int
    source: str | None
    target: str | None
    reason: str
    hole: bool
