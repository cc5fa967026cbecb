"""Every buffer between the market and a client: its bound, its policy, its counter.

No client can delay another: each buffer has an end, and whoever fills it pays.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Policy(StrEnum):
    """What happens at a buffer's end."""

    CONFLATE = "conflate"
    """Rows in between are merged into the newest one."""

    DROP_OLDEST = "drop_oldest"
    """The oldest entry goes; whoever needed it gets a snapshot."""

    BLOCK = "block"
    """Nothing more is read from the one who fills it."""

    DISCONNECT = "disconnect"
    """The one who fills it is closed."""


class Buffer(Struct, frozen=True):
    """One buffer; ``counter`` is its figure in the service's report."""

    name: str
    bound: str
    policy: Policy
    counter: str


BUFFERS: Final = (
    Buffer("rows owed to a subscriber", "one delta or snapshot", Policy.CONFLATE, "conflated"),
    Buffer("recent changes of a view", "200 deltas", Policy.DROP_OLDEST, "snapshots"),
    Buffer("items owed to a subscriber", "1,000 items", Policy.DROP_OLDEST, "dropped_items"),
    Buffer("requests of a client", "unread answers", Policy.BLOCK, "blocked"),
    Buffer("frames that wait for a client", "64 MB", Policy.DISCONNECT, "slow_disconnects"),
    Buffer("messages of a client", "600 a minute", Policy.DISCONNECT, "rate_limited"),
)
