"""A recorded day on a fake clock, live and 15 minutes late: the same rows, later."""

import asyncio
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tapewire.simulators.source_strings import parse_source
from tapewire.simulators.sources import MergedSources, TimedEvent, text_of, time_of
from tests.replays import Row, trade_files
from tests.services.line import Line

DELAY_MS: Final = 15 * 60_000
HOUR_MS: Final = 3_600_000
PRE_MS: Final = 1_381_132_800_000  # 2013-10-07 04:00 New York
LOOKS_MS: Final = [PRE_MS + int(hours * HOUR_MS) for hours in (4, 5.5, 5.501, 9, 12, 13, 16.5)]
"""Event times at which the rows are compared: before the open, at it, after the close..."""


@pytest.fixture(scope="module")
def tape(shared: Path) -> list[TimedEvent]:
    """The trades of two symbols of one day."""
    sources = [parse_source(text) for text in trade_files(shared, "2013-10-07")[:3:2]]
    return [event for piece in MergedSources(sources).slices() for event in piece]


async def day(tape: list[TimedEvent], delay_ms: int) -> list[list[Row]]:
    """Play the day second by second, from 04:00 to past the end of post-market."""
    line = await Line("T.*", shards=2, live=True, delay_ms=delay_ms).start()
    looks: list[list[Row]] = []
    at = 0
    for second_ms in range(PRE_MS, LOOKS_MS[-1] + 1000, 1000):
        if second_ms in LOOKS_MS:
            await line.flush()
            looks.append(await line.dump())
        line.now_ms = second_ms + 1000 + delay_ms
        upto = bisect_left(tape, second_ms + 1000, lo=at, key=time_of)
        if at < upto:
            line.take(line.batches([text_of(event) for event in tape[at:upto]]))
        line.take(line.heartbeats())
        if second_ms % 60_000 == 0:
            await line.flush()
        at = upto
    assert at == len(tape)
    assert set(line.skipped()) <= {"duplicate"}
    return [*looks, await line.finish()]


def test_a_delayed_feed_gives_the_rows_of_the_live_feed_later(tape: list[TimedEvent]) -> None:
    live = asyncio.run(day(tape, 0))
    delayed = asyncio.run(day(tape, DELAY_MS))
    assert [len(rows) for rows in live] == [len(rows) for rows in delayed]
    assert live == delayed
    assert all(before != after for before, after in pairwise(live[:-1]))
    assert any(row["feed"] == "quote:IBM" for row in live[-1])
