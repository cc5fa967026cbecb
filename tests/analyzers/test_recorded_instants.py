"""Quote records and boards at ten instants of each recorded day, against a recomputation.

Trades are applied up to an instant, then the clock says that it has come. What stands in the
rows then is compared with what Polars makes of the recorded files alone.
"""

from collections.abc import Iterator, Mapping
from heapq import merge
from pathlib import Path

import polars as pl
import pytest

from tapewire.model.batch import Batch
from tapewire.model.events import Clock, Event
from tapewire.model.rows import Reference
from tapewire.model.streams import Stream
from tapewire.providers.massive.protocol import decode
from tapewire.simulators.lean import LeanSource, trade_slices
from tests.analyzers.market import Market
from tests.oracles import recorded as oracle
from tests.oracles.recorded import DailyBar

DAYS = {"2013-10-07": None, "2013-10-08": "2013-10-07"}
"""Day -> the one before it that is recorded."""

INSTANTS = (
    *("07:30:00", "09:29:59", "09:30:00", "09:30:01", "09:31:00"),
    *("09:45:30", "12:00:00", "15:59:59", "16:00:01", "19:00:00"),
)


def cut_ms(clock: str) -> int:
    """``09:30:00`` as ms since midnight."""
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000


def trades_until(shared: Path, date: str) -> Iterator[tuple[int, str]]:
    """The day's recorded trades in order: ms UTC and the provider's JSON."""
    source = LeanSource(shared / "data" / "lean" / "tick")
    files = [file for file in source.files if (file.day, file.kind) == (date, "trade")]
    assert len(files) == len(oracle.SYMBOLS)
    tapes = ((event for part in trade_slices(file) for event in part) for file in files)
    return ((t, text) for t, _, text in merge(*tapes, key=lambda event: event[0]))


def decoded(texts: list[str]) -> list[Event]:
    payload = ",".join(texts).encode()
    return decode(Batch("massive", Stream.TRADES, 0, "mdl", 1, 0, len(texts), 1, payload)).events


@pytest.mark.parametrize("date", DAYS)
def test_rows_and_boards_at_ten_instants(shared: Path, date: str) -> None:
    data, before = shared / "data", DAYS[date]
    frames = {s: oracle.massive_rule(oracle.trades(data, s, date)) for s in oracle.SYMBOLS}
    market = Market()
    previous: dict[str, DailyBar] = {}
    if before is not None:
        for symbol in frames:
            bar = DailyBar.of(oracle.massive_rule(oracle.trades(data, symbol, before)))
            previous[symbol] = bar
            market.refer(reference(symbol, date, bar))
    midnight, tape = oracle.midnight_ms(date), trades_until(shared, date)
    waiting = next(tape)
    for instant in INSTANTS:
        until_ms, texts = midnight + cut_ms(instant), []
        while waiting[0] < until_ms:
            texts.append(waiting[1])
            waiting = next(tape, (until_ms + 86_400_000, ""))
        market.show(*decoded(texts), Clock(until_ms))
        check(market, date, frames, previous, instant)


def reference(symbol: str, date: str, bar: DailyBar) -> Reference:
    return Reference(symbol, date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap)


def check(
    market: Market,
    date: str,
    frames: Mapping[str, pl.DataFrame],
    previous: Mapping[str, DailyBar],
    instant: str,
) -> None:
    quotes = [
        oracle.quote_at(frame, symbol, date, previous.get(symbol), cut_ms(instant))
        for symbol, frame in frames.items()
    ]
    expected = [quote for quote in quotes if quote]
    assert market.quoted(date) == {quote["symbol"] for quote in expected}, instant
    for quote in expected:
        row = market.quote(quote["symbol"], date)
        found = {name: getattr(row, name) for name in row.__struct_fields__}
        assert found == quote, (instant, quote["symbol"])
    for board in oracle.SCORES:
        lines = oracle.board(board, expected)
        scores = {line["symbol"]: line["score"] for line in lines}
        assert list(market.scores(board, date).items()) == list(scores.items()), (instant, board)
