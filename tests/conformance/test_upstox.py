"""Upstox's own SDK and ours read the same bytes to the same values, and it can use our simulator.

The SDK runs in an environment of its own (``environments.py``), since it asks for a package that
shadows the standard library's ``uuid``; everything else that it asks for is there.
"""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tapewire.model.events import Tick
from tapewire.providers.upstox.messages import MARKET_STATUS, FrameKind
from tapewire.providers.upstox.protocol import UpstoxConnection
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.tick_tape import parse_tape
from tapewire.simulators.upstox import UpstoxSide
from tapewire.simulators.upstox_frames import (
    Candle,
    Last,
    Level,
    Totals,
    feed_frame,
    full_feed,
    greeks_feed,
    index_feed,
    ltpc_feed,
    market_frame,
)
from tapewire.simulators.upstox_master import upstox_key
from tests.conformance.environments import answers, environment
from tests.conformance.upstox_feeds import INSTRUMENTS, RECEIVED_NS, TRADE_MS, Feeds, ticks_of

FRAMES = 2_000
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The interpreter of the SDK's environment."""
    return environment("upstox")


def ask(sdk: Path, *questions: dict[str, Any]) -> list[Any]:
    """What the SDK answers."""
    return answers(sdk, HERE / "sdk_upstox_frames.py", questions)


def ours(frame: bytes) -> dict[str, Tick]:
    """The ticks that our connection makes of a frame, by instrument key."""
    socket = UpstoxConnection(lambda: "g", now_s=0.0)
    socket.subscribe(list(INSTRUMENTS.values()))
    ticks = socket.receive(frame, RECEIVED_NS, 1.0)
    by_name = {each.key: key for key, each in INSTRUMENTS.items()}
    return {by_name[f"{tick.exchange}:{tick.token}"]: tick for tick in ticks}


def written_by(sdk: Path, seed: int, count: int) -> list[bytes]:
    """Frames of random feeds as the SDK's own classes serialize them."""
    feeds = Feeds(seed)
    hexes = ask(sdk, *({"write": feeds.message()} for _ in range(count)))
    return [bytes.fromhex(each) for each in hexes]


def read_by(sdk: Path, frames: list[bytes]) -> list[Any]:
    """What the SDK's streamer hands to its listeners; None for a frame that it refuses."""
    return ask(sdk, *({"read": frame.hex()} for frame in frames))


def test_both_read_the_same_values_of_thousands_of_frames(sdk: Path) -> None:
    frames = written_by(sdk, 1, FRAMES)
    messages = read_by(sdk, frames)
    for frame, message in zip(frames, messages, strict=True):
        assert ours(frame) == ticks_of(message)
    assert sum(len(ticks_of(message)) for message in messages) > FRAMES


def test_what_survives_damage_is_the_same(sdk: Path) -> None:
    """Where the SDK still reads a frame, ours reads the same; else ours loses what it must."""
    random = Random(2)
    frames = []
    for frame in written_by(sdk, 3, FRAMES):
        damaged = bytearray(frame)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        frames.append(bytes(damaged))
    read = 0
    for frame, message in zip(frames, read_by(sdk, frames), strict=True):
        if message is not None:
            assert ours(frame) == ticks_of(message)
            read += 1
    assert FRAMES / 4 < read < FRAMES


LAST = Last(100.55, TRADE_MS, 75, 99.25)
DEPTH = [Level(10 + i, 100.25 - i, 1 << (2 * i), 100.75 + i) for i in range(30)]
CANDLES = [
    Candle("1d", 1.0, 2.0, 0.5, 1.5, 12_345, TRADE_MS),
    Candle("I1", 1.5, 2.5, 1.25, 1.75, 5, TRADE_MS + 1),
]
GREEKS = (0.5, -10.25, 0.001, 9.75, 3.125)
TOTALS = Totals(1_234_567, 55_500.0, 100.5, 0.15, 1e6, 2e6)

SAID_LAST = {"ltp": 100.55, "ltt": str(TRADE_MS), "ltq": "75", "cp": 99.25}
SAID_DEPTH = [
    {"bidQ": str(each.bid_size), "bidP": each.bid, "askQ": str(each.ask_size), "askP": each.ask}
    for each in DEPTH
]
SAID_CANDLES = [
    {"interval": "1d", "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5,
     "vol": "12345", "ts": str(TRADE_MS)},
    {"interval": "I1", "open": 1.5, "high": 2.5, "low": 1.25, "close": 1.75,
     "vol": "5", "ts": str(TRADE_MS + 1)},
]  # fmt: skip
SAID_GREEKS = dict(zip(("delta", "theta", "gamma", "vega", "rho"), GREEKS, strict=True))


def test_the_sdk_reads_every_field_that_the_simulator_writes(sdk: Path) -> None:
    feeds = [
        ("NSE_FO|1", full_feed(LAST, TOTALS, DEPTH, GREEKS, CANDLES)),
        ("NSE_FO|2", greeks_feed(LAST, TOTALS, DEPTH[0], GREEKS)),
        ("NSE_INDEX|Nifty 50", index_feed(LAST, CANDLES)),
        ("NSE_EQ|INE002A01018", ltpc_feed(LAST)),
    ]
    (message,) = read_by(sdk, [feed_frame(FrameKind.LIVE_FEED, feeds, TRADE_MS)])
    market = {
        "ltpc": SAID_LAST,
        "marketLevel": {"bidAskQuote": SAID_DEPTH},
        "optionGreeks": SAID_GREEKS,
        "marketOHLC": {"ohlc": SAID_CANDLES},
        "atp": 100.5,
        "vtt": "1234567",
        "oi": 55_500.0,
        "iv": 0.15,
        "tbq": 1e6,
        "tsq": 2e6,
    }
    greeks = {
        "ltpc": SAID_LAST,
        "firstDepth": SAID_DEPTH[0],
        "optionGreeks": SAID_GREEKS,
        "vtt": "1234567",
        "oi": 55_500.0,
        "iv": 0.15,
    }
    index = {"ltpc": SAID_LAST, "marketOHLC": {"ohlc": SAID_CANDLES}}
    assert message == {
        "type": "live_feed",
        "currentTs": str(TRADE_MS),
        "feeds": {
            "NSE_FO|1": {"fullFeed": {"marketFF": market}, "requestMode": "full_d5"},
            "NSE_FO|2": {"firstLevelWithGreeks": greeks, "requestMode": "option_greeks"},
            "NSE_INDEX|Nifty 50": {"fullFeed": {"indexFF": index}, "requestMode": "full_d5"},
            "NSE_EQ|INE002A01018": {"ltpc": SAID_LAST},
        },
    }


def test_both_know_the_same_market_statuses(sdk: Path) -> None:
    markets = {f"SEGMENT_{status}": status for status in MARKET_STATUS}
    frame = market_frame(markets, TRADE_MS)
    (message,) = read_by(sdk, [frame])
    socket = UpstoxConnection(lambda: "g", now_s=0.0)
    socket.receive(frame, RECEIVED_NS, 1.0)
    assert message["type"] == "market_info"
    assert message["marketInfo"]["segmentStatus"] == markets == socket.status()["markets"]


async def test_the_sdk_connects_to_the_simulator_and_gets_every_tick(sdk: Path) -> None:
    tape = parse_tape("generator:at=09:20,until=09:20:02,rate=200")
    keys = {upstox_key(each): key for key, each in tape.instruments.items()}
    simulator = BrokerSimulator(
        UpstoxSide(
            tape,
            Account(token="key"),
            ws_url=lambda: simulator.ws_url,
            now_ms=lambda: TRADE_MS,
            new_code=lambda: "code",
        ),
        tape,
        speed="max",
        once=True,
    )
    await simulator.start()
    try:
        client = await asyncio.create_subprocess_exec(
            str(sdk), "-I", str(HERE / "sdk_upstox_client.py"), simulator.ws_url, "key", "full",
            json.dumps(list(keys)), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(client.communicate(), 60)
    finally:
        await simulator.stop()
    messages = [json.loads(line) for line in out.splitlines()]
    assert messages, err.decode()
    assert messages[0]["type"] == "market_info"
    got: dict[str, list[tuple[float, int]]] = {}
    for message in messages:
        if message.get("type") != "live_feed":
            continue
        for wire_key, feed in message["feeds"].items():
            full = feed["fullFeed"]
            last = (full.get("marketFF") or full["indexFF"])["ltpc"]
            got.setdefault(keys[wire_key], []).append((last["ltp"], int(last["ltt"])))
    expected: dict[str, list[tuple[float | None, int]]] = {}
    for timed in tape.slices():
        for _, key, tick in timed:
            expected.setdefault(key, []).append((tick.last_price, tick.timestamp_ms))
    assert got == expected
