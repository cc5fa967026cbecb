"""The analyzer contract: a pure fold of one stream's events into changes.

Applying a list in any split gives the same rows. Time (``Clock``) and loss (``Gap``)
arrive in the same list as data. Reference data arrive as rows of their own and never
create a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from tapewire.model.changes import Changes
from tapewire.model.events import Event
from tapewire.model.rows import Reference
from tapewire.model.streams import Stream

Hashes = Mapping[str, Mapping[str, bytes]]
"""Hash name (without the shard's tag) -> field -> packed value."""


ROWS: Final = "rows:"
"""Begins the name of a hash of rows among those to restore from: rows that are state too."""


class Analyzer(Protocol):
    """Fold one stream. Every method is a plain call; the processor does the I/O."""

    stream: Stream

    def apply(self, events: Sequence[Event]) -> None:
        """Fold events in order."""

    def refer(self, references: Iterable[Reference]) -> None:
        """Take reference rows in: idempotent upserts by (symbol, field)."""

    def drain(self) -> Changes:
        """What changed since the last drain, and forget that it did."""

    def renew(self) -> None:
        """Make the next drain write everything: for a store that lost writes."""

    def first_hashes(self) -> Sequence[str]:
        """Names of the private hashes that say where the earlier owner was."""

    def further_hashes(self, private: Hashes) -> Sequence[str]:
        """Given those, the other private hashes that ``restore`` needs, whole."""

    def restore(self, private: Hashes) -> None:
        """Continue where the private state of an earlier owner ended."""
