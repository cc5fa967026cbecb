"""The one way to print: tables in a terminal, tab-separated lines in a pipe, JSON lines.

Results go to stdout and nothing else does; progress and errors are stderr's. JSON carries
raw values (ms UTC, percents as 5.0), tables what people read (the time in New York, or in India
for what is traded there, and 1,234,567).
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tapewire.cli.wall_clock import IN_INDIA, NEW_YORK
from tapewire.model.markets import INDIA, Market

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

NOTHING: Final = "–"
"""What a table shows where there is no value; a plain line leaves the place empty."""


NAMED_AT_MOST: Final = 12


class Form(StrEnum):
    """How results look."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"


class Style(StrEnum):
    """What a value is, hence how it is shown."""

    TEXT = "text"
    COUNT = "count"
    PRICE = "price"
    PERCENT = "percent"
    CHANGE = "change"
    DURATION = "duration"
    CLOCK = "clock"
    DATE_TIME = "date_time"
    CLOCK_IN_INDIA = "clock_in_india"
    DATE_TIME_IN_INDIA = "date_time_in_india"
    FLAG = "flag"


class Column(Struct, frozen=True):
    """One column: a row's field, its heading, what its values are."""

    field: str
    title: str
    style: Style = Style.TEXT
    wraps: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is set to the right."""
        return self.style not in {Style.TEXT, Style.FLAG}

    def shown(self, row: Any, form: Form) -> str:
        """A row's value as this form shows it."""
        value = value_of(row, self.field)
        if value is None or value in ("", {}, []):
            return NOTHING if form is Form.TABLE else ""
        styles = _TABLE if form is Form.TABLE else _PLAIN
        return styles.get(self.style, str)(value)


_IN_INDIA: Final[Mapping[Style, Style]] = {
    Style.CLOCK: Style.CLOCK_IN_INDIA,
    Style.DATE_TIME: Style.DATE_TIME_IN_INDIA,
}


def style_in(market: Market, style: Style) -> Style:
    """A style for values of a market: times are shown by the clock there."""
    return _IN_INDIA.get(style, style) if market == INDIA else style


def columns_in(market: Market, columns: Iterable[Column]) -> list[Column]:
    """Columns for rows of a market."""
    return [replace(column, style=style_in(market, column.style)) for column in columns]


class Printer:
    """Prints results to ``stream`` in one form."""

    def __init__(self, form: Form, stream: TextIO) -> None:
        self.form = form
        self._stream = stream
        self._heads_done = False
        self._live: Live | None = None

    @classmethod
    def for_stdout(cls, *, json: bool) -> "Printer":
        """JSON lines when asked for, a table in a terminal, plain lines elsewhere."""
        if json:
            return cls(Form.JSON, sys.stdout)
        return cls(Form.TABLE if sys.stdout.isatty() else Form.PLAIN, sys.stdout)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at tables."""
        return self.form is Form.TABLE

    def rows(self, rows: Iterable[Any], columns: Sequence[Column], title: str = "") -> None:
        """Print rows. JSON lines hold every field of a row, tables the columns only."""
        if self.form is Form.JSON:
            for row in rows:
                self.json(row)
        elif self.form is Form.PLAIN:
            self._plain(rows, columns)
        else:
            self._draw(table(rows, columns, title))

    def json(self, row: Any) -> None:
        """Print one JSON line and let it go out at once."""
        self._stream.write(json_line(row))
        self._stream.flush()

    def text(self, line: str) -> None:
        """Print one line as it is."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def console(self) -> "Console":
        """Rich's console on the stream; numbers and paths keep the table's own colours."""
        from rich.console import Console

        return Console(file=self._stream, highlight=False, soft_wrap=False)

    @contextmanager
    def redrawn(self) -> Iterator["Printer"]:
        """While the block runs a terminal shows the last table only, in place."""
        if self.form is not Form.TABLE:
            yield self
            return
        from rich.live import Live

        with Live(console=self.console(), auto_refresh=False, vertical_overflow="crop") as live:
            self._live = live
            try:
                yield self
            finally:
                self._live = None

    def _draw(self, made: "Table") -> None:
        if self._live is not None:
            self._live.update(made, refresh=True)
        else:
            self.console().print(made)

    def _plain(self, rows: Iterable[Any], columns: Sequence[Column]) -> None:
        """Tab-separated lines under one line of headings."""
        if not self._heads_done:
            self._heads_done = True
            heads = (column.title.replace(" ", "_") for column in columns)
            self._stream.write("\t".join(heads) + "\n")
        for row in rows:
            cells = (_one_line(column.shown(row, Form.PLAIN)) for column in columns)
            self._stream.write("\t".join(cells) + "\n")
        self._stream.flush()


def table(rows: Iterable[Any], columns: Sequence[Column], title: str = "") -> "Table":
    """A Rich table; columns give way in width, numbers never break."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        side = "right" if column.is_number else "left"
        made.add_column(column.title, justify=side, no_wrap=not column.wraps)  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(Text(c.shown(row, Form.TABLE), style=_colour(c, row)) for c in columns))
    return made


def json_line(row: Any) -> str:
    """One object, one line; also for rows that the store packs as arrays."""
    whole = fields_of(row) if isinstance(row, Struct) else row
    return msgspec.json.encode(whole).decode() + "\n"


def value_of(row: Any, field: str) -> Any:
    """A row's field, whatever the row is."""
    if isinstance(row, Mapping):
        return row.get(field)
    return getattr(row, field)


def fields_of(row: Any) -> dict[str, Any]:
    """A row's fields by name, whatever the row is."""
    if isinstance(row, Mapping):
        return dict(row)
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: getattr(row, name) for name in row.__struct_fields__}


def count(value: float) -> str:
    """``1,234,567``; a fraction of a small number keeps two places."""
    whole = float(value).is_integer() or abs(value) >= 1000
    return f"{value:,.0f}" if whole else f"{value:,.2f}"


def price(value: float) -> str:
    """At least cents, at most four places: ``49.18``, ``0.1234``."""
    text = f"{value:,.4f}"
    return text.rstrip("0").ljust(len(text) - 2, "0") if "." in text else text


def percent(value: float) -> str:
    """``+5.00 %``."""
    return f"{value:+,.2f} %"


def duration(value_ms: float) -> str:
    """``12 ms``, ``3.4 s``, ``2 min 05 s``, ``52 h 28 min``; negative ones with a minus."""
    sign, value_ms = "-" if value_ms < 0 else "", abs(value_ms)
    if value_ms < 1000:
        return f"{sign}{value_ms:.0f} ms"
    minutes, seconds = divmod(value_ms / 1000, 60)
    if minutes < 1:
        return f"{sign}{seconds:.1f} s"
    hours, minutes = divmod(int(minutes), 60)
    rest = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {int(seconds):02} s"
    return f"{sign}{rest}"


def _change(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{price(abs(value))}"


def _plain_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6f}".rstrip("0")


def _plain_duration(value_ms: float) -> str:
    """Whole milliseconds."""
    return str(round(value_ms))


def _plain_price(value: float) -> str:
    return price(value).replace(",", "")


def _plain_flag(value: Any) -> str:
    return "true" if value else "false"


def _flag(value: Any) -> str:
    return "yes" if value else "no"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _colour(column: Column, row: Any) -> str:
    value = value_of(row, column.field)
    if column.style in {Style.PERCENT, Style.CHANGE} and value:
        return "green" if value > 0 else "red"
    return ""


_TABLE: Final[Mapping[Style, Callable[[Any], str]]] = {
    Style.COUNT: count,
    Style.PRICE: price,
    Style.PERCENT: percent,
    Style.CHANGE: _change,
    Style.DURATION: duration,
    Style.CLOCK: NEW_YORK.clock,
    Style.DATE_TIME: NEW_YORK.date_time,
    Style.CLOCK_IN_INDIA: IN_INDIA.clock,
    Style.DATE_TIME_IN_INDIA: IN_INDIA.date_time,
    Style.FLAG: _flag,
}
_PLAIN: Final[Mapping[Style, Callable[[Any], str]]] = {
    Style.COUNT: _plain_number,
    Style.PRICE: _plain_price,
    Style.PERCENT: _plain_number,
    Style.CHANGE: _plain_price,
    Style.DURATION: _plain_duration,
    Style.CLOCK: NEW_YORK.date_time,
    Style.DATE_TIME: NEW_YORK.date_time,
    Style.CLOCK_IN_INDIA: IN_INDIA.date_time,
    Style.DATE_TIME_IN_INDIA: IN_INDIA.date_time,
    Style.FLAG: _plain_flag,
}


def named(names: list[str]) -> str:
    """``AIG, BAC``; many are cut, none is ``nothing``."""
    more = len(names) - NAMED_AT_MOST
    listed = ", ".join(names[:NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed or "nothing yet"
