"""The same bytes give the same values in Dhan's own client, field by field; and it can use ours.

The client reads the first packet of a frame only, writes prices with two decimals and times
without their day, and tells the reason of a disconnect by printing it.
"""

import asyncio
import struct
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tapewire.market.instruments import Instrument
from tapewire.providers.dhan.packets import (
    DepthLevel,
    Disconnect,
    Full,
    MarketStatus,
    OpenInterest,
    PreviousClose,
    Quote,
    Segment,
    Ticker,
    Update,
    decode,
    depth,
)
from tapewire.providers.dhan.protocol import DhanConnection
from tapewire.providers.dhan.subscriptions import Mode
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.dhan import DhanSide
from tapewire.simulators.dhan_frames import encode_depth, encode_packet
from tapewire.simulators.tick_tape import parse_tape
from tests.conformance.environments import answers, environment

HERE = Path(__file__).parent
PACKETS, LOT = 6_000, 500
U16, U32 = 2**16 - 1, 2**32 - 1
SEGMENTS = [int(segment) for segment in Segment]


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The interpreter of the SDK's environment."""
    return environment("dhan")


class Packets:
    """Packets of every kind, at random: any price, size and time that the fields can hold."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._makers = (
            self._ticker,
            self._quote,
            self._interest,
            self._close,
            self._status,
            self._full,
        )

    def one(self) -> Update:
        """The next packet."""
        return self._random.choice(self._makers)()

    def _price(self) -> float:
        price = self._random.choice((0.0, 0.05, self._random.uniform(0, 200_000)))
        (narrow,) = struct.unpack("<f", struct.pack("<f", price))
        assert isinstance(narrow, float)
        return narrow

    def _size(self, most: int = U32) -> int:
        return self._random.choice((0, 1, most, self._random.randint(0, most)))

    def _name(self) -> tuple[int, int]:
        return self._random.choice(SEGMENTS), self._size()

    def _ticker(self) -> Update:
        return Ticker(*self._name(), self._price(), self._size())

    def _quote(self) -> Update:
        return Quote(*self._name(), *self._last(), *self._prices())

    def _full(self) -> Update:
        interests: tuple[Any, ...] = (self._size(), self._size(), self._size())
        book = encode_depth([self._level() for _ in range(5)])
        fields: list[Any] = [*self._name(), *self._last(), *interests, *self._prices(), book]
        return Full(*fields)

    def _last(self) -> tuple[Any, ...]:
        trade = (self._price(), self._size(U16), self._size(), self._price())
        return *trade, self._size(), self._size(), self._size()

    def _prices(self) -> tuple[Any, ...]:
        return self._price(), self._price(), self._price(), self._price()

    def _level(self) -> DepthLevel:
        sizes = (self._size(), self._size(), self._size(U16), self._size(U16))
        return DepthLevel(*sizes, self._price(), self._price())

    def _interest(self) -> Update:
        return OpenInterest(*self._name(), self._size())

    def _close(self) -> Update:
        return PreviousClose(*self._name(), self._price(), self._size())

    def _status(self) -> Update:
        return MarketStatus(*self._name())


def rupees(price: float) -> str:
    return f"{price:.2f}"


def time_of_day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def last_and_day(update: Quote | Full) -> dict[str, Any]:
    return {
        "LTP": rupees(update.last_price),
        "LTQ": update.last_size,
        "LTT": time_of_day(update.last_trade_time_s),
        "avg_price": rupees(update.average_price),
        "volume": update.day_volume,
        "total_sell_quantity": update.total_sell_size,
        "total_buy_quantity": update.total_buy_size,
        "open": rupees(update.open),
        "close": rupees(update.close),
        "high": rupees(update.high),
        "low": rupees(update.low),
    }


def levels(full: Full) -> list[dict[str, Any]]:
    return [
        {
            "bid_quantity": level.bid_size,
            "ask_quantity": level.ask_size,
            "bid_orders": level.bid_orders,
            "ask_orders": level.ask_orders,
            "bid_price": rupees(level.bid_price),
            "ask_price": rupees(level.ask_price),
        }
        for level in depth(full)
    ]


def worded(update: Update) -> Any:
    """Our reading of a packet, in the words of the SDK."""
    name = {"exchange_segment": update.segment, "security_id": update.security_id}
    match update:
        case Ticker():
            last = rupees(update.last_price), time_of_day(update.last_trade_time_s)
            return {"type": "Ticker Data", **name, "LTP": last[0], "LTT": last[1]}
        case Quote():
            return {"type": "Quote Data", **name, **last_and_day(update)}
        case OpenInterest():
            return {"type": "OI Data", **name, "OI": update.open_interest}
        case PreviousClose():
            close = {"prev_close": rupees(update.previous_close)}
            return {
                "type": "Previous Close",
                **name,
                **close,
                "prev_OI": update.previous_open_interest,
            }
        case Full():
            interests = {
                "OI": update.open_interest,
                "oi_day_high": update.open_interest_high,
                "oi_day_low": update.open_interest_low,
            }
            return {
                "type": "Full Data",
                **name,
                **last_and_day(update),
                **interests,
                "depth": levels(update),
            }
        case MarketStatus():
            return "Markets Open"
    raise AssertionError(f"no words for {update}")


def read(sdk: Path, packets: list[bytes]) -> list[tuple[Any, str]]:
    """What the SDK returns and prints for each packet."""
    lots = [packets[start : start + LOT] for start in range(0, len(packets), LOT)]
    questions = [[packet.hex() for packet in lot] for lot in lots]
    said = answers(sdk, HERE / "sdk_dhan_frames.py", questions)
    return [(returned, printed) for lot in said for returned, printed in lot]


def only(frame: bytes) -> Update:
    """The only packet of a frame."""
    faults: Counter[str] = Counter()
    (update,) = decode(frame, faults)
    assert not faults
    return update


def test_every_field_of_thousands_of_packets_is_the_same(sdk: Path) -> None:
    made = Packets(7)
    packets = [encode_packet(made.one()) for _ in range(PACKETS)]
    said = read(sdk, packets)
    for packet, (returned, _) in zip(packets, said, strict=True):
        assert worded(only(packet)) == returned
    kinds = Counter(packet[0] for packet in packets)
    assert kinds.keys() == {2, 4, 5, 6, 7, 8}
    assert min(kinds.values()) > PACKETS // 10


def test_ticks_have_the_values_that_the_sdk_reads(sdk: Path) -> None:
    """Prices are on the grid, so that two decimals are all of them."""
    random = Random(8)
    future = Instrument(
        exchange="NSE_FO", token="49081", symbol="F", tick_size=0.05, broker_key="NSE_FNO|49081"
    )
    packets = [
        encode_packet(
            Quote(
                Segment.NSE_FNO,
                49_081,
                random.randint(1, 2**21) * 5 / 100,
                random.randint(0, U16),
                random.randint(1, U32),
                0.0,
                random.randint(0, U32),
                *(0, 0, 0.0, 0.0, 0.0, 0.0),
            )
        )
        for _ in range(2_000)
    ]
    connection = DhanConnection(0.0, clock_offset_s=0)
    connection.subscribe([future])
    ticks = connection.receive(b"".join(packets), 0, 0.0)
    said = [returned for returned, _ in read(sdk, packets)]
    assert [
        {
            "LTP": rupees(tick.last_price or 0.0),
            "LTQ": tick.last_size,
            "LTT": time_of_day(tick.timestamp_ms // 1_000),
            "volume": tick.day_volume,
        }
        for tick in ticks
    ] == [{name: one[name] for name in ("LTP", "LTQ", "LTT", "volume")} for one in said]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (805, "No. of active websocket connections exceeded"),
        (806, "Subscribe to Data APIs to continue"),
        (807, "Access Token is expired"),
    ],
)
def test_reasons_of_disconnects_mean_the_same(sdk: Path, reason: int, words: str) -> None:
    packet = encode_packet(Disconnect(0, 0, reason))
    ((returned, printed),) = read(sdk, [packet])
    assert returned is None
    assert words in printed
    assert only(packet) == Disconnect(0, 0, reason)


@pytest.mark.parametrize("mode", list(Mode))
async def test_the_sdk_connects_to_our_simulator_and_receives(sdk: Path, mode: Mode) -> None:
    tape = parse_tape("generator:seed=3,at=09:15,until=09:16")
    side = DhanSide(tape, Account(token="key"), now_s=lambda: 0.0)
    simulator = BrokerSimulator(side, tape, speed="max", once=True)
    await simulator.start()
    try:
        names = [(Segment[segment].value, number) for segment, number in side.names]
        asked = {
            "url": simulator.ws_url,
            "client_id": "1",
            "token": "key",
            "instruments": [[*name, int(mode)] for name in names],
            "frames": 200,
        }
        ((*noted,),) = await asyncio.to_thread(answers, sdk, HERE / "sdk_dhan_client.py", [asked])
    finally:
        await simulator.stop()
    assert len(noted) == 200
    faults: Counter[str] = Counter()
    for frame, returned in noted:
        updates = decode(bytes.fromhex(frame), faults)
        assert worded(updates[0]) == returned
    assert not faults
    assert simulator.statistics.refused_logins == 0
