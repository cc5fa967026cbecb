"""Instrument masters on disk, with files and fetches that go wrong."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.providers.broker import BrokerError
from tapewire.providers.disconnects import BackOff
from tapewire.providers.instrument_cache import InstrumentCache

MORNING = 1_795_228_200.0  # 08:00 in India
URL = "https://masters.example/all.csv"


class Server:
    """What stands behind the URL: a number of instruments, or an error."""

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def parse(data: bytes) -> Sequence[Instrument]:
    if not data.isdigit():
        raise ValueError("expected a number")
    return [
        Instrument(
            exchange="NSE_FO",
            token=str(number),
            symbol=f"S{number}",
            kind=InstrumentKind.CALL,
            expiry="2026-11-26",
            strike=24000.0,
            tick_size=0.05,
            lot_size=75,
        )
        for number in range(int(data))
    ]


class Desk:
    """A cache whose clock can be turned."""

    def __init__(self, folder: Path, content: bytes | Exception = b"100") -> None:
        self.now_s = MORNING
        self.server = Server(content)
        self.cache = InstrumentCache(folder, lambda: self.now_s)

    async def load(self, name: str = "upstox") -> Sequence[Instrument]:
        return await self.cache.load(name, URL, self.server.fetch, parse)


async def test_a_master_is_fetched_once_a_day_whoever_asks(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first = await desk.load()
    assert await desk.load() == first
    other = Desk(tmp_path)
    other.now_s += 20 * 3600
    assert await other.load() == first
    assert (len(desk.server.asked), len(other.server.asked)) == (1, 0)
    assert other.cache.ages_s["upstox"] == 20 * 3600
    other.now_s += 4 * 3600
    other.server.content = b"120"
    assert len(await other.load()) == 120
    assert other.cache.counts == {"reused": 1, "fetched": 1}


async def test_the_day_turns_before_indian_markets_open_not_at_midnight(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.now_s = MORNING - 61 * 60  # 06:59
    await desk.load()
    desk.now_s = MORNING - 60 * 60
    await desk.load()
    assert len(desk.server.asked) == 2


@pytest.mark.parametrize(
    "content",
    [OSError("unreachable"), TimeoutError(), b"<html>", b"", b"0", b"49"],
    ids=["no network", "no answer", "not a master", "nothing", "empty", "half downloaded"],
)
async def test_what_is_no_master_never_replaces_a_good_one(
    tmp_path: Path, content: bytes | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = await Desk(tmp_path).load()
    bad = Desk(tmp_path, content)
    bad.now_s += 48 * 3600
    assert await bad.load() == first
    assert bad.cache.counts["fell_back"] == 1
    assert "48.0 h old" in caplog.text
    assert await bad.load() == first
    assert len(bad.server.asked) == 2  # the next one who asks tries again


async def test_without_any_master_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="upstox: unreachable; there is none on disk") as raised:
        await Desk(tmp_path, OSError("unreachable")).load()
    assert isinstance(raised.value.ending.policy, BackOff)
    assert raised.value.ending.reason == "no_master"
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
async def test_a_damaged_file_is_fetched_again(tmp_path: Path, damage: bytes | None) -> None:
    desk = Desk(tmp_path)
    first = await desk.load()
    path = desk.cache.path("upstox")
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    assert await desk.load() == first
    assert desk.cache.counts == {"fetched": 2, "unreadable": 1}


async def test_who_cannot_write_goes_on_without(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    desk = Desk(folder)
    assert len(await desk.load()) == 100
    assert desk.cache.counts["not_kept"] == 1
    assert folder.read_text() == "in the way"


async def test_names_are_files_of_their_own_and_nothing_else_is_left(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "new")
    await desk.load("fyers-NSE_CM")
    await desk.load("../dhan/all")
    assert sorted(os.listdir(tmp_path / "new")) == [  # noqa: PTH208
        ".._dhan_all.instruments",
        "fyers-NSE_CM.instruments",
    ]
    assert len(desk.server.asked) == 2
