"""The example plug-in, installed into a folder of its own and run by ``tapewire replay``."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.replays import environment, tapewire

PROJECT = Path(__file__).resolve().parents[2]
MORNING = "generator:symbols=40,rate=60,at=09:29:50,until=09:36"
OPEN_MS, MINUTE_MS = 1_795_185_000_000, 60_000  # 2026-11-20 09:30 New York

Row = dict[str, Any]
Env = dict[str, str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package; nothing is downloaded."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    options = ["--no-build-isolation", "--target", str(target), "examples/opening_range"]
    done = subprocess.run(
        [*pip, *options], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def env(installed: Path, redis_url: str) -> Env:
    return environment(
        WDC_REDIS_URL=redis_url,
        PYTHONPATH=str(installed),
        QUOTE_SOURCE="trades",
        TAPEWIRE_ANALYZERS="default,opening_range?minutes=3",
    )


def dumped(env: Env, feed: str) -> list[Row]:
    return tapewire("dump", feed, env=env).lines


def test_a_replay_publishes_what_the_plug_in_finds(env: Env) -> None:
    result = tapewire("replay", MORNING, "--shards", "2", "--json", env=env).result
    assert result["gaps"] == []
    rows = {row["symbol"]: row for row in dumped(env, "opening_range:*")}
    candles = [
        candle
        for candle in dumped(env, "candles:1m:*")
        if OPEN_MS <= candle["start_ms"] < OPEN_MS + 3 * MINUTE_MS
    ]
    assert {candle["symbol"] for candle in candles} == rows.keys()
    for symbol, row in rows.items():
        mine = [candle for candle in candles if candle["symbol"] == symbol]
        assert row["high"] == max(candle["high"] for candle in mine), symbol
        assert row["low"] == min(candle["low"] for candle in mine), symbol
        assert row["complete"]
    breakouts = dumped(env, "opening_range_breakout")
    assert breakouts == sorted(breakouts, key=lambda one: (one["timestamp_ms"], one["symbol"]))
    for one in breakouts:
        row = rows[one["symbol"]]
        side, beyond = ("high", 1) if one["direction"] == "up" else ("low", -1)
        assert one["level"] == row[side]
        assert beyond * (one["price"] - one["level"]) > 0
        assert one["timestamp_ms"] == row[f"broke_{one['direction']}_ms"]
    told = sum(row["broke_up_ms"] is not None for row in rows.values())
    told += sum(row["broke_down_ms"] is not None for row in rows.values())
    assert len(breakouts) == told > 0


def test_options_that_make_no_sense_end_the_command_and_erase_nothing(env: Env) -> None:
    assert tapewire("replay", "generator:symbols=2,until=09:30", env=env).code == 0
    before = tapewire("dump", env=env)
    broken = env | {"TAPEWIRE_ANALYZERS": "opening_range?minutes=400"}
    ended = tapewire("replay", MORNING, env=broken)
    assert ended.code == 2
    assert "analyzer 'opening_range' of tapewire-opening-range 1.0.0" in ended.stderr
    assert "expected 1 to 389" in ended.stderr
    assert tapewire("dump", env=env).stdout == before.stdout != ""
