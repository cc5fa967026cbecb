"""``tapewire top``: the leaderboards, merged over all shards."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli.options import Json, MarketName, MarketOption, Watch
from tapewire.cli.output import Column, Form, Printer, Style, columns_in, fields_of
from tapewire.model.markets import BY_NAME, INDIA, US, Market

if TYPE_CHECKING:
    from tapewire.caches.reader import Ranked, WidgetReader
    from tapewire.runtime.settings import Settings

POLL_S: Final = 1.0
"""Boards are ranked once a second."""


class Board(StrEnum):
    """The leaderboards."""

    GAINERS = "gainers"
    GAPPERS = "gappers"
    VOLUME = "volume"


_FIRST: Final = (
    Column("rank", "#", Style.COUNT),
    Column("symbol", "symbol"),
    Column("close", "last", Style.PRICE),
)
_LAST: Final = (
    Column("pct_change_5m", "5 min", Style.PERCENT),
    Column("relative_volume", "rel", Style.COUNT),
    Column("end_timestamp", "at", Style.CLOCK),
    Column("halted", "halt", Style.FLAG),
    Column("gap", "gap", Style.FLAG),
)
COLUMNS: Final[Mapping[Board, Sequence[Column]]] = {
    Board.GAINERS: (
        *_FIRST,
        Column("pct_change_since_open", "from open", Style.PERCENT),
        Column("open", "open", Style.PRICE),
        Column("accumulated_volume", "volume", Style.COUNT),
        *_LAST,
    ),
    Board.GAPPERS: (
        *_FIRST,
        Column("pct_change", "change", Style.PERCENT),
        Column("accumulated_volume", "volume", Style.COUNT),
        *_LAST,
    ),
    Board.VOLUME: (
        *_FIRST,
        Column("accumulated_volume", "volume", Style.COUNT),
        Column("pct_change", "change", Style.PERCENT),
        *_LAST,
    ),
}

_LEFT_OUT: Final = frozenset({"open", "relative_volume", "halted"})

Limit = Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="How many lines.")]


def top(
    board: Annotated[Board, typer.Argument(help="Which board.")],
    limit: Limit = 20,
    market: MarketOption = MarketName.US,
    watch: Watch = False,
    json: Json = False,
) -> None:
    """Show a leaderboard of the market's newest trading day."""
    from tapewire.cli.edge import load

    printer = Printer.for_stdout(json=json)
    asyncio.run(_show(load().settings, board, limit, BY_NAME[market.value], printer, watch=watch))


async def _show(
    settings: "Settings",
    board: Board,
    limit: int,
    market: Market,
    printer: Printer,
    *,
    watch: bool,
) -> None:
    from tapewire.cli.stores import reader
    from tapewire.cli.watching import watching
    from tapewire.runtime.service import ServiceError

    def show(lines: list[dict[str, Any]], to: Printer) -> None:
        columns = columns_of(board, market, to.form)
        rows = map(called, lines) if to.is_terminal else lines
        to.rows(rows, columns, f"Top {board.value}, {market.clock} time")

    async with reader(settings) as rows:
        if watch:
            await watching(lambda: read(rows, board, limit, market), printer, show, POLL_S)
            return
        lines = await read(rows, board, limit, market)
        if not lines:
            ranked = [other for other in Board if await read(rows, other, 1, market)]
            if not ranked:
                raise ServiceError(f"the board {board.value} is empty, and so is every other one")
            sys.stderr.write(f"tapewire: {_WHY_EMPTY[board]}; there is {', '.join(ranked)}\n")
    show(lines, printer)


_WHY_EMPTY: Final[Mapping[Board, str]] = {
    Board.GAINERS: "no symbol has an open to be measured from",
    Board.GAPPERS: "no symbol has a previous close to be measured from",
    Board.VOLUME: "no symbol has traded",
}


def columns_of(board: Board, market: Market, form: Form) -> Sequence[Column]:
    """The board's columns; of India with names, since symbols are numbers there.

    A table has room for these where what brokers do not tell is left out.
    """
    first, second, *rest = columns_in(market, COLUMNS[board])
    if market != INDIA:
        return [first, second, *rest]
    if form is not Form.TABLE:
        return [first, second, Column("name", "name"), *rest]
    told = (column for column in rest if column.field not in _LEFT_OUT)
    return [first, Column("called", "symbol"), *told]


def called(line: dict[str, Any]) -> dict[str, Any]:
    """A line with what people call its symbol: ``NSE_EQ:RELIANCE``."""
    exchange, name = line["symbol"].partition(":")[0], line.get("name")
    return {**line, "called": f"{exchange}:{name}" if name else line["symbol"]}


async def read(
    rows: "WidgetReader", board: Board, limit: int, market: Market = US
) -> list[dict[str, Any]]:
    """The board's lines: rank, symbol, score, then the fields of the quote record."""
    found = await rows.board(f"top_{board.value}", limit, market=market)
    return [line(ranked) for ranked in found]


def line(ranked: "Ranked") -> dict[str, Any]:
    """One line of a board as one flat object."""
    head = {"rank": ranked.rank, "symbol": ranked.symbol, "score": ranked.score}
    return head | (fields_of(ranked.quote) if ranked.quote is not None else {})
