"""The same bytes give the same values in Fyers' own client, field by field.

What differs is the client's doing: it drops open interest and the year's range, sends circuit
limits as 0, reads the volume signed, gives records that change nothing to nobody, and repeats
an instrument's whole state where one field changed.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import Tick
from tapewire.providers.fyers.protocol import FyersConnection
from tapewire.providers.fyers.requests import Mode
from tapewire.providers.fyers.segments import topic_of
from tapewire.providers.fyers.wire import (
    ABSENT,
    INDEX_FIELDS,
    SYMBOL_FIELDS,
    Field,
    SnapshotRecord,
    named_values,
)
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.fyers import SOCKET_PATH, FyersSide
from tapewire.simulators.fyers_files import make_token, ticker_of
from tapewire.simulators.fyers_frames import (
    encode_data,
    encode_lite,
    encode_snapshot,
    encode_update,
)
from tapewire.simulators.tick_tape import TickTape
from tests.conformance.environments import answers, environment
from tests.simulators.fyers_market import FUTURE, LISTED, NIFTY, RELIANCE, ListedMarket, made_tick

HERE = Path(__file__).parent
CONNECTIONS, UPDATES = 40, 150
FAR_S = 4_000_000_000.0

THEIRS = {
    "ltp": "last_price",
    "vol_traded_today": "day_volume",
    "last_traded_time": "last_trade_time_s",
    "exch_feed_time": "feed_time_s",
    "bid_size": "bid_size",
    "ask_size": "ask_size",
    "bid_price": "bid",
    "ask_price": "ask",
    "last_traded_qty": "last_size",
    "tot_buy_qty": "total_buy_size",
    "tot_sell_qty": "total_sell_size",
    "avg_trade_price": "average_price",
    "low_price": "low",
    "high_price": "high",
    "open_price": "open",
    "prev_close_price": "previous_close",
}
"""Our names of the fields that the client gives to its user."""

OF_A_TICK = {"last_price", "day_volume", "last_trade_time_s", "last_size", "open_interest"}
OF_AN_INDEX_TICK = {"last_price", "feed_time_s"}


class Named(NamedTuple):
    """An instrument under its id on a connection, and its price scale."""

    topic_id: int
    instrument: Instrument
    multiplier: int
    precision: int

    @property
    def fields(self) -> Sequence[Field]:
        return INDEX_FIELDS if self.instrument.kind is InstrumentKind.INDEX else SYMBOL_FIELDS

    @property
    def scale(self) -> int:
        return int(10**self.precision * self.multiplier)


class Record(NamedTuple):
    """One record: what it is about, its vector (of a lite one the price) and its bytes."""

    named: Named
    values: tuple[int, ...]
    written: bytes


def listed(random: Random) -> list[Named]:
    ids = random.sample(range(2**16), 12)
    made = []
    for number, topic_id in enumerate(ids):
        exchange = random.choice(["NSE_EQ", "NSE_FO", "NCD_FO", "BSE_EQ", "BSE_FO", "MCX_FO"])
        one = Instrument(exchange=exchange, token=f"{number + 1}", symbol=f"S{number}")
        if number >= 9:
            exchange, kind = random.choice(["NSE_INDEX", "BSE_INDEX"]), InstrumentKind.INDEX
            one = Instrument(exchange=exchange, token=f"In_{number}", symbol="I", kind=kind)
        scale = random.choice([(1, 2), (1, 4), (100, 2), (1, 0), (25, 3)])
        made.append(Named(topic_id, one, *scale))
    return made


def vector(named: Named, random: Random, absent: float) -> tuple[int, ...]:
    """Values of all sizes; never 0, since the client divides by the previous close."""
    return tuple(
        ABSENT
        if random.random() < absent
        else random.choice((1, -1)) * random.randint(1, 2**31 - 1)
        for _ in named.fields
    )


def snapshot(named: Named, random: Random) -> Record:
    values = vector(named, random, 0.1)
    # The client fails on a lite record where the snapshot had no price.
    values = (random.randint(1, 10**6), *values[1:])
    name = topic_of(named.instrument)
    texts = ("NSE", named.instrument.token, f"NSE:{named.instrument.symbol}-\u20b9")
    said = SnapshotRecord(named.topic_id, name, values, named.multiplier, named.precision, *texts)
    return Record(named, values, encode_snapshot(said))


def update(named: Named, random: Random) -> Record:
    values = vector(named, random, random.choice((0.0, 0.5, 0.9, 1.0)))
    return Record(named, values, encode_update(named.topic_id, values))


def lite(named: Named, random: Random) -> Record:
    raw = random.choice((ABSENT, random.randint(1, 2**31 - 1)))
    return Record(named, (raw,), encode_lite(named.topic_id, raw))


def records(seed: int, *, is_lite: bool) -> list[Record]:
    """The records of one connection: snapshots, and updates with a snapshot here and there."""
    random = Random(seed)
    everyone = listed(random)
    told = [snapshot(named, random) for named in everyone]
    for _ in range(UPDATES):
        make = snapshot if random.random() < 0.05 else (lite if is_lite else update)
        told.append(make(random.choice(everyone), random))
        if random.random() < 0.1:
            told.append(told[-1])  # a broker that repeats itself
    return told


def question(told: Sequence[Record], *, is_lite: bool) -> dict[str, Any]:
    frames = [encode_data(number, [one.written]).hex() for number, one in enumerate(told)]
    topics = {topic_of(one.named.instrument): one.named.instrument.key for one in told}
    return {"topics": topics, "lite": is_lite, "frames": frames}


def ours(told: Sequence[Record], *, is_lite: bool, at_once: int) -> Iterator[list[Tick]]:
    """Our ticks, frame by frame of so many records."""
    mode = Mode.LITE if is_lite else Mode.FULL
    connection = FyersConnection("KEY", 0.0, mode=mode)
    connection.subscribe(
        list({one.named.instrument.key: one.named.instrument for one in told}.values())
    )
    for first in range(0, len(told), at_once):
        written = [one.written for one in told[first : first + at_once]]
        yield connection.receive(encode_data(first, written), 0, 0.0)
    assert set(connection.faults) <= {"no_price"}


@pytest.fixture(scope="module")
def sdk() -> Path:
    return environment("fyers")


def test_every_field_of_full_records_is_what_the_client_says(sdk: Path) -> None:
    days = [records(seed, is_lite=False) for seed in range(CONNECTIONS)]
    told = answers(sdk, HERE / "fyers_decoder.py", [question(day, is_lite=False) for day in days])
    assert sum(len(day) for day in days) > 6_000
    compared = 0
    for day, theirs in zip(days, told, strict=True):
        held: dict[str, dict[str, float | int]] = {}
        ticks = ours(day, is_lite=False, at_once=1)
        for record, said, made in zip(day, theirs, ticks, strict=True):
            compared += compare(record, said, made, held)
    assert compared > 50_000


def compare(
    record: Record,
    said: list[dict[str, Any]],
    made: list[Tick],
    held: dict[str, dict[str, float | int]],
) -> int:
    """Compare one record; the number of fields that were."""
    named, key = record.named, record.named.instrument.key
    carried = named_values(named.fields, named.scale, record.values)
    is_snapshot = record.written[:1] == b"S"
    held[key] = state = carried if is_snapshot else held[key] | carried
    if said:
        (theirs,) = said
        assert fields_of(theirs, key) == {
            name: value for name, value in state.items() if name in THEIRS.values()
        }
    is_index = named.instrument.kind is InstrumentKind.INDEX
    tells = (OF_AN_INDEX_TICK if is_index else OF_A_TICK) & set(carried)
    assert len(made) == bool(tells and "last_price" in state)
    if made:
        compare_tick(made[0], state, is_index=is_index)
    return len(state) if said else 0


def fields_of(theirs: dict[str, Any], key: str) -> dict[str, float | int]:
    """What the client says, under our names, less what it makes up."""
    assert theirs.pop("symbol") == key
    assert theirs.pop("type") == ("if" if "_INDEX" in key else "sf")
    if "_INDEX" not in key:
        assert (theirs.pop("lower_ckt"), theirs.pop("upper_ckt")) == (0, 0)
    fields = {THEIRS[name]: value for name, value in theirs.items() if name not in ("ch", "chp")}
    if "day_volume" in fields:
        fields["day_volume"] &= 0xFFFFFFFF
    return fields


def compare_tick(tick: Tick, state: dict[str, float | int], *, is_index: bool) -> None:
    """A tick is its instrument's state."""
    assert tick.last_price == state["last_price"]
    if is_index:
        assert tick.timestamp_ms == int(state.get("feed_time_s", 0)) * 1000
        assert (tick.day_volume, tick.open_interest, tick.last_size) == (None, None, 0)
        return
    assert tick.timestamp_ms == int(state.get("last_trade_time_s", 0)) * 1000
    assert tick.last_size == state.get("last_size", 0)
    assert tick.day_volume == state.get("day_volume")
    assert tick.open_interest == state.get("open_interest")


def test_every_price_of_lite_records_is_what_the_client_says(sdk: Path) -> None:
    days = [records(seed, is_lite=True) for seed in range(CONNECTIONS)]
    told = answers(sdk, HERE / "fyers_decoder.py", [question(day, is_lite=True) for day in days])
    compared = 0
    for day, theirs in zip(days, told, strict=True):
        for said, made in zip(theirs, ours(day, is_lite=True, at_once=1), strict=True):
            if said:
                (tick,) = made
                assert said[0]["ltp"] == tick.last_price
                assert said[0]["symbol"] == f"{tick.exchange}:{tick.token}"
                compared += 1
    assert compared > 2_000


@pytest.mark.parametrize("is_lite", [False, True])
def test_records_mean_the_same_however_many_are_in_a_frame(is_lite: bool) -> None:
    for seed in range(CONNECTIONS):
        day = records(seed, is_lite=is_lite)
        one_by_one, together = (
            [tick for ticks in ours(day, is_lite=is_lite, at_once=count) for tick in ticks]
            for count in (1, 50)
        )
        assert one_by_one == together


@pytest.mark.parametrize("is_lite", [False, True])
async def test_the_client_connects_to_the_simulator_and_receives(sdk: Path, is_lite: bool) -> None:
    token = make_token("HSM-KEY", FAR_S)
    market = ListedMarket(3_000)
    tape = TickTape(market)
    # The client fails on lite records of what had no price in its snapshot.
    tape.play([market.timed(number) for number in range(len(LISTED))])
    side = FyersSide(tape, Account(token=token), now_s=lambda: 0.0, ack_count=2)
    simulator = BrokerSimulator(side, tape, speed="max", max_turn_ticks=5)
    await simulator.start()
    asked: dict[str, Any] = {
        "ws": simulator.ws_url + SOCKET_PATH,
        "rest": simulator.rest_url,
        "token": token,
        "tickers": [ticker_of(one) for one in (RELIANCE, FUTURE, NIFTY)],
        "count": 600,
        "lite": is_lite,
    }
    try:
        ((*said,),) = await asyncio.to_thread(answers, sdk, HERE / "fyers_listener.py", [asked])
    finally:
        await simulator.stop()
    expected = [made_tick(list(LISTED.values())[n % 5], n) for n in range(3_000)]
    played = [one for one in expected if one.exchange in ("NSE_EQ", "NSE_FO", "NSE_INDEX")][:600]
    assert [message["ltp"] for message in said] == [one.last_price for one in played]
    assert {message["symbol"] for message in said} == set(asked["tickers"])
    if not is_lite:
        shares = [message for message in said if message["type"] == "sf"]
        volumes = [one.day_volume for one in played if one.day_volume is not None]
        assert [message["vol_traded_today"] for message in shares] == volumes
