"""What folds bars: the parts behind a shard's one hot loop.

Decision 2 of the architecture: a trade touches one bar; quote records, boards and
candles are parts that take finished bars at a cut and are drained together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from tapewire.analyzers.analyzer import Hashes
from tapewire.analyzers.bars import Bar
from tapewire.market.sessions import TradingDay
from tapewire.model.changes import Changes
from tapewire.model.events import Trade
from tapewire.model.rows import Fact, Reference


class Part(Protocol):
    """One analysis over bars."""

    def cut(self, bars: Iterable[Bar], late: Iterable[Bar]) -> None:
        """Take a second that has ended.

        ``bars`` are all of that second's, whole; ``late`` holds one bar per trade of an
        earlier second that came during it.
        """

    def clock(self, second_ms: int, day: TradingDay) -> None:
        """Event time now stands in the second that starts at ``second_ms``."""

    def finish(self) -> None:
        """The replay has ended: everything closes."""

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Events between these times never came. Called again for each after a restore."""

    def refer(self, references: Iterable[Reference]) -> None:
        """Take reference rows in; they never create a row."""

    def drain(self, unfinished: Sequence[Bar]) -> Changes:
        """What changed since the last drain.

        ``unfinished`` are the bars of the current second that did. They are for
        display: the next cut brings them again, whole.
        """

    def renew(self) -> None:
        """Make the next drain write everything."""

    def hashes(self, second_ms: int, date: str) -> Sequence[str]:
        """Private hashes that ``restore`` needs, given where the earlier owner stood."""

    def restore(self, private: Hashes) -> None:
        """Continue from the private state; ``clock`` follows."""


@runtime_checkable
class SeesTrades(Protocol):
    """A part that looks at single trades too."""

    def see(self, trades: Mapping[str, Sequence[Trade]], bars: Mapping[str, Bar]) -> None:
        """Take every applied trade once, late ones included, by symbol in order of arrival.

        Comes before each drain and before the cut that ends the trades' second; what comes with
        a drain is flushed with it. The lists belong to the caller, who empties them. ``bars``
        hold the second's sums of the symbols all of whose trades lie in it.
        """


@runtime_checkable
class HasDates(Protocol):
    """A part whose hashes and boards ``<family>:<date>`` leave the store with their trading date.

    Public ones stay for the two sessions before today's; private ones, with ``private:``, for the
    date before, of which late trades may still come.
    """

    @property
    def dated(self) -> Sequence[str]:
        """The families."""


@runtime_checkable
class TakesFacts(Protocol):
    """What fills fields with facts that others publish; a part, or a fold that has such parts."""

    def learn(self, facts: Iterable[Fact]) -> None:
        """Take facts in, between cuts; they never create a row."""
