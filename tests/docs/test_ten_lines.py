"""The ten lines of the README, as they stand there, on a simulator's socket and on files."""

import asyncio
import re
import sys
from pathlib import Path

import polars as pl
import pytest

from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.source_strings import parse_source
from tests.docs.pages import PROJECT
from tests.generated_day import write_generated_day
from tests.oracles import recorded as oracle
from tests.replays import environment

DATE = "2013-10-07"
MORNING = "generator:symbols=40,rate=100,at=09:29:57,until=09:30:20"
LINE = re.compile(r"^ +(\d+)  (\S+) +([\d,.]+) +([+-][\d,.]+) %$")

Line = tuple[int, str, float, float]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    section = (PROJECT / "README.md").read_text("utf-8").split("## A board in ten lines")[1]
    code = section.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line]) == 10
    path = tmp_path / "board.py"
    path.write_text(code, "utf-8")
    return path


async def last_board(script: Path, *arguments: str) -> tuple[str, list[Line]]:
    """Heading and lines of the last board that the script prints: rank, symbol, price, score."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), *arguments),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    heading, *lines = out.decode().split("\033[2J\033[H")[-1].splitlines()
    found = [match for line in lines if (match := LINE.match(line))]
    assert len(found) == len(lines), lines
    return heading, [
        (int(m[1]), m[2], float(m[3].replace(",", "")), float(m[4].replace(",", ""))) for m in found
    ]


async def test_they_print_the_board_of_a_socket(script: Path) -> None:
    simulator = MassiveSimulator([parse_source(MORNING)], speed="max", once=True, key="k")
    await simulator.start()
    try:
        heading, lines = await last_board(script, f"{simulator.ws_url}/stocks", "k")
    finally:
        await simulator.stop()
    assert heading == "2026-11-20  top gainers"
    assert [rank for rank, *_ in lines] == list(range(1, 11))
    scores = [score for *_, score in lines]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0


async def test_they_print_the_board_of_a_folder_of_files(script: Path, tmp_path: Path) -> None:
    data = write_generated_day(tmp_path) / "data"
    for path in (data / "lean" / "tick").rglob("*"):
        if path.is_file() and path.name != "20131007_trade.zip":
            path.unlink()
    heading, lines = await last_board(script, str(data / "lean" / "tick"))
    moves = [(symbol, *move(data, symbol)) for symbol in oracle.SYMBOLS]
    best = sorted(moves, key=lambda one: (-one[2], one[0]))
    assert heading == f"{DATE}  top gainers"
    assert lines == [
        (rank, symbol, round(close, 2), round(percent, 2))
        for rank, (symbol, close, percent) in enumerate(best, 1)
    ]


def move(data: Path, symbol: str) -> tuple[float, float]:
    """Last price of the day, and percent from the official open."""
    frame = oracle.massive_rule(oracle.trades(data, symbol, DATE)).sort("ms", "order")
    opening = (pl.col("flags") & (1 << oracle.OPENING[0])) != 0
    open_ = int(frame.filter(opening & (pl.col("ms") >= oracle.OPEN_MS))["price"][0])
    close = int(frame.filter("OC")["price"][-1])
    return close / 10_000, 100 * (close - open_) / open_


async def test_a_refused_key_is_said(script: Path) -> None:
    simulator = MassiveSimulator([parse_source(MORNING)], speed="max", once=True, key="k")
    await simulator.start()
    try:
        with pytest.raises(AssertionError, match="the provider refused"):
            await last_board(script, f"{simulator.ws_url}/stocks", "wrong")
    finally:
        await simulator.stop()
