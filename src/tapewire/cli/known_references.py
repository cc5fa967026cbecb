"""Reference rows as a processor knows them: kept in memory, followed in MDC.

A shard that is claimed while MDC is away starts from what is known here, so an outage of
reference data never stops the flow.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tapewire.model.rows import Reference

DATES_KEPT: Final = 3
"""Yesterday's, today's and tomorrow's rows; older ones are of no more use to anybody."""


class KnownReferences:
    """Every row that ``take`` was given, by date and symbol; passes rows on to ``refer``."""

    def __init__(self) -> None:
        self._dates: dict[str, dict[str, Reference]] = {}
        self.refer: Callable[[Sequence[Reference]], None] = _nobody

    def take(self, rows: Sequence[Reference]) -> None:
        """Keep rows and pass them on; of several dates the newest stay."""
        for row in rows:
            self._dates.setdefault(row.date, {})[row.symbol] = row
        for past in sorted(self._dates)[:-DATES_KEPT]:
            del self._dates[past]
        self.refer(rows)

    async def snapshot(self) -> Sequence[Reference]:
        """Every row known now."""
        return [row for rows in self._dates.values() for row in rows.values()]


def _nobody(_: Sequence[Reference]) -> None:
    """Nobody owns a shard yet."""
