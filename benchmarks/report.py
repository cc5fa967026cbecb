"""What a benchmark says: rows on stdout, progress on stderr."""

import sys
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tapewire.cli.output import Column, Printer, Style

UNIT: Final = "events/s"


class Row(Struct, frozen=True):
    """One measured figure.

    ``reference`` is what decoding the same events alone reaches in the same run;
    ``checked`` whether every answer was right.
    """

    name: str
    metric: str
    value: int
    unit: str
    reference: int
    checked: bool

    @classmethod
    def of(
        cls, name: str, metric: str, rate: float, reference: float, wrong: Sequence[str]
    ) -> "Row":
        """A rate in events a second; ``wrong`` are the answers that differ."""
        return cls(name, metric, round(rate), UNIT, round(reference), not wrong)


COLUMNS: Final = (
    Column("name", "name"),
    Column("metric", "metric"),
    Column("value", "value", Style.COUNT),
    Column("unit", "unit"),
    Column("reference", "reference", Style.COUNT),
    Column("checked", "checked", Style.FLAG),
)


class Reporter:
    """Prints each row as it is known; a table in a terminal waits for the last one."""

    def __init__(self, *, json: bool) -> None:
        self._printer = Printer.for_stdout(json=json)
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if not self._printer.is_terminal:
            self._printer.rows([row], COLUMNS)

    def end(self) -> int:
        """Print what is left; the exit code: 1 as soon as one answer differed."""
        if self._printer.is_terminal and self.rows:
            self._printer.rows(self.rows, COLUMNS)
        return exit_code(self.rows)


def exit_code(rows: Sequence[Row]) -> int:
    """0 when every answer of every row was right, else 1."""
    return 0 if all(row.checked for row in rows) else 1


def say(line: str) -> None:
    """One line of progress, out of the results' way."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def complain(name: str, wrong: Sequence[str], shown: int = 10) -> None:
    """Say which answers differ."""
    for line in wrong[:shown]:
        say(f"{name}: WRONG: {line}")
    if len(wrong) > shown:
        say(f"{name}: WRONG: and {len(wrong) - shown} more")
