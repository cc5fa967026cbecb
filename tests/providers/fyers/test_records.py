"""Fyers' records byte by byte, and the topics of one connection."""

from collections import Counter

import pytest

from tapewire.market.instruments import Instrument
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick
from tapewire.model.rows import Reference
from tapewire.providers.fyers.records import Records
from tapewire.providers.fyers.segments import topic_of
from tapewire.providers.fyers.wire import (
    INDEX_FIELDS,
    INDEX_UPDATE,
    SYMBOL_FIELDS,
    SYMBOL_UPDATE,
    named_values,
    read_snapshot,
)
from tests.providers.fyers.session import NIFTY, RECEIVED_NS, RELIANCE

# Written by hand from the documented layout: fields count from 0, prices in paise.
NAMES = "03 4e5345 04 32383835 0c 4e53453a52454c49414e4345"  # NSE 2885 NSE:RELIANCE
VECTOR = (
    "00023a4d 000f4240 6553f100 6553f101 00000001 00000002 00023a48 00023a52 0000004b"
    "00000003 00000004 00023a4e 00000005 00023a00 00023b00 00023c00 00023900 00020000"
    "00030000 00023a10 00023a20"
)
SNAPSHOT = f"53 0700 0e 73667c6e73655f636d7c32383835 15 {VECTOR} 0000 0001 02 {NAMES}"
A = "80000000"
UPDATE = f"55 0700 15 00023a57 000f4250 {A * 6} 00000010 {A * 12}"
LITE = "4c 0700 00023a61"
INDEX_SNAPSHOT = (
    "53 0800 12 69667c6e73655f636d7c4e69667479203530 06"
    "0021d8b0 0021d000 6553f101 0021e000 0021c000 0021d100 0000 0001 02 00 00 00"
)
INDEX_UPDATE_RECORD = f"55 0800 06 0021d8ba {A} 6553f102 {A * 3}"
DEPTH_SNAPSHOT = "53 0900 0e 64707c6e73655f636d7c32383835 01 00000001 0000 0001 02 00 00 00"
AT_MS = 0x6553F100 * 1000
RECEIVED_MS = RECEIVED_NS // 1_000_000


def record(written: str) -> bytes:
    return bytes.fromhex(written)


def tick(
    price: float, size: int, volume: int | None, interest: int | None, ms: int, flags: int = 0
) -> Tick:
    named = ("fyers", "NSE_EQ", "2885", "RELIANCE")
    return Tick(*named, price, size, volume, interest, ms, RECEIVED_NS, flags)


def index_tick(value: float, ms: int, flags: int = 0) -> Tick:
    named = ("fyers", "NSE_INDEX", "Nifty_50", "NIFTY50")
    return Tick(*named, value, 0, None, None, ms, RECEIVED_NS, flags | TICK_INDEX)


class Feed:
    """Records read one after the other, with their faults."""

    def __init__(self, *wanted: Instrument) -> None:
        self.faults: Counter[str] = Counter()
        self.wanted = {topic_of(one): one for one in wanted or (RELIANCE, NIFTY)}
        self.records = Records(self.wanted, self.faults)

    def read(self, *written: str, announced: int | None = None) -> list[Tick]:
        count = len(written) if announced is None else announced
        return self.read_bytes(b"".join(map(record, written)), count)

    def read_bytes(self, frame: bytes, count: int) -> list[Tick]:
        return self.records.read(frame, 0, count, RECEIVED_NS)


def test_a_snapshot_is_a_baseline_and_has_the_documented_bytes() -> None:
    feed = Feed()
    assert feed.read(SNAPSHOT) == [tick(1459.97, 75, 10**6, 5, AT_MS, TICK_SNAPSHOT)]
    assert feed.records.learned() == [
        Reference("NSE_EQ:2885", "", prev_day_close=1459.52, name="RELIANCE")
    ]
    assert feed.records.learned() == []


def test_a_snapshot_says_what_its_topic_is() -> None:
    said, end = read_snapshot(record(SNAPSHOT), 0)
    assert end == len(record(SNAPSHOT))
    assert (said.name, said.multiplier, said.precision) == ("sf|nse_cm|2885", 1, 2)
    assert (said.exchange, said.token, said.symbol) == ("NSE", "2885", "NSE:RELIANCE")


def test_every_field_of_a_vector_has_its_place() -> None:
    said, _ = read_snapshot(record(SNAPSHOT), 0)
    assert named_values(SYMBOL_FIELDS, 100, said.values) == {
        "last_price": 1459.97,
        "day_volume": 1_000_000,
        "last_trade_time_s": 0x6553F100,
        "feed_time_s": 0x6553F101,
        "bid_size": 1,
        "ask_size": 2,
        "bid": 1459.92,
        "ask": 1460.02,
        "last_size": 75,
        "total_buy_size": 3,
        "total_sell_size": 4,
        "average_price": 1459.98,
        "open_interest": 5,
        "low": 1459.2,
        "high": 1461.76,
        "year_high": 1464.32,
        "year_low": 1456.64,
        "lower_circuit": 1310.72,
        "upper_circuit": 1966.08,
        "open": 1459.36,
        "previous_close": 1459.52,
    }


def test_the_vectors_are_as_long_as_documented() -> None:
    assert (len(SYMBOL_FIELDS), len(INDEX_FIELDS)) == (21, 6)
    assert (SYMBOL_UPDATE.size, INDEX_UPDATE.size) == (4 + 84, 4 + 24)


def test_an_update_keeps_what_it_leaves_out() -> None:
    _, update = Feed().read(SNAPSHOT, UPDATE)
    assert update == tick(1460.07, 16, 1_000_016, 5, AT_MS)


def test_a_trade_at_the_same_price_is_a_tick() -> None:
    _, update = Feed().read(SNAPSHOT, f"55 0700 15 {A} 000f4250 {A * 19}")
    assert update == tick(1459.97, 75, 1_000_016, 5, AT_MS)


def test_an_update_of_the_best_prices_alone_makes_no_tick() -> None:
    feed = Feed()
    assert len(feed.read(SNAPSHOT, f"55 0700 15 {A * 4} {'00000001' * 4} {A * 13}")) == 1
    assert feed.records.counts == {"snapshots": 1, "unchanged": 1}
    assert not feed.faults


def test_a_lite_record_has_a_price_and_the_time_of_its_receipt() -> None:
    _, lite, update = Feed().read(SNAPSHOT, LITE, f"55 0700 15 {A} 000f4250 {A * 19}")
    assert lite == tick(1460.17, 0, None, None, RECEIVED_MS)
    assert update == tick(1460.17, 75, 1_000_016, 5, AT_MS)


def test_a_lite_record_without_a_price_makes_no_tick() -> None:
    feed = Feed()
    assert len(feed.read(SNAPSHOT, f"4c 0700 {A}")) == 1
    assert feed.records.counts["unchanged"] == 1


def test_an_index_has_a_value_and_a_time_but_no_volume() -> None:
    feed = Feed()
    assert feed.read(INDEX_SNAPSHOT, INDEX_UPDATE_RECORD, "4c 0800 0021d8bb") == [
        index_tick(22181.6, AT_MS + 1000, TICK_SNAPSHOT),
        index_tick(22181.7, AT_MS + 2000),
        index_tick(22181.71, RECEIVED_MS),
    ]
    (reference,) = feed.records.learned()
    assert reference == Reference("NSE_INDEX:Nifty_50", "", prev_day_close=22159.36, name="NIFTY50")


def test_a_snapshot_without_a_trade_has_no_price_until_one_comes() -> None:
    feed = Feed()
    assert feed.read(SNAPSHOT.replace(VECTOR, A * 21), f"55 0700 15 {A} 000f4240 {A * 19}") == []
    assert feed.faults == {"no_price": 2}
    assert feed.records.learned() == [Reference("NSE_EQ:2885", "", name="RELIANCE")]
    (update,) = feed.read(f"55 0700 15 00023a57 {A * 20}")
    assert update == tick(1460.07, 0, 1_000_000, None, 0)


@pytest.mark.parametrize("where", [SNAPSHOT, UPDATE])
def test_a_volume_past_2_31_is_read_unsigned(where: str) -> None:
    past = where.replace("000f4240", "80000001").replace("000f4250", "80000001")
    *_, last = Feed().read(SNAPSHOT, past)
    assert last.day_volume == 2**31 + 1


def test_precision_and_multiplier_scale_a_price() -> None:
    (snapshot,) = Feed().read(SNAPSHOT.replace("0000 0001 02", "0000 0064 04"))
    assert snapshot.last_price == 0.145997


def test_a_new_snapshot_of_an_id_replaces_the_topic() -> None:
    again = SNAPSHOT.replace("0000 0001 02", "0000 0001 01")
    *_, update = Feed().read(SNAPSHOT, again, UPDATE)
    assert update.last_price == 14600.7


def test_an_id_can_come_to_mean_another_kind() -> None:
    feed = Feed()
    now_index = INDEX_SNAPSHOT.replace("53 0800", "53 0700")
    ticks = feed.read(SNAPSHOT, now_index, INDEX_UPDATE_RECORD.replace("55 0800", "55 0700"))
    assert [one.token for one in ticks] == ["2885", "Nifty_50", "Nifty_50"]
    assert not feed.faults
    assert [one.token for one in feed.read(UPDATE)] == ["Nifty_50"]
    assert feed.faults == {"field_count": 1}


@pytest.mark.parametrize(
    ("odd", "fault"),
    [
        (UPDATE.replace("55 0700", "55 0900"), "unknown_topic"),
        (LITE.replace("4c 0700", "4c 0900"), "unknown_topic"),
        (DEPTH_SNAPSHOT, "unknown_kind"),
        (SNAPSHOT.replace("32383835 15", "32383836 15"), "not_subscribed"),
        (SNAPSHOT.replace("0000 0001 02", "0000 0000 02"), "bad_scale"),
        (SNAPSHOT.replace("0000 0001 02", "0000 0001 ff"), "bad_scale"),
    ],
)
def test_what_cannot_be_used_is_stepped_over(odd: str, fault: str) -> None:
    feed = Feed()
    assert [one.token for one in feed.read(odd, INDEX_SNAPSHOT)] == ["Nifty_50"]
    assert feed.faults == {fault: 1}


@pytest.mark.parametrize("extra", ["", A * 2])
def test_a_vector_of_another_length_gives_its_known_fields(extra: str) -> None:
    feed = Feed()
    count = "05" if not extra else "08"
    values = f"0021d8ba {A} 6553f102 {A * 2}" + (A + extra if extra else "")
    _, update = feed.read(INDEX_SNAPSHOT, f"55 0800 {count} {values}")
    assert update == index_tick(22181.7, AT_MS + 2000)
    assert feed.faults == {"field_count": 1}


def test_a_short_snapshot_gives_its_known_fields() -> None:
    feed = Feed()
    short = SNAPSHOT.replace(VECTOR, VECTOR[: 3 * 9]).replace("32383835 15", "32383835 03")
    assert feed.read(short, UPDATE) == [
        tick(1459.97, 0, 10**6, None, AT_MS, TICK_SNAPSHOT),
        tick(1460.07, 16, 1_000_016, None, AT_MS),
    ]
    assert feed.faults == {"field_count": 1}


def test_a_record_of_unknown_length_costs_the_rest_of_the_frame() -> None:
    feed = Feed()
    assert len(feed.read(SNAPSHOT, "63 0700", UPDATE)) == 1
    assert feed.faults == {"unknown_record": 1}
    assert len(feed.read(UPDATE)) == 1


WHOLE = len(record(SNAPSHOT))


@pytest.mark.parametrize("kept", range(1, WHOLE))
def test_a_truncated_snapshot_is_counted_and_what_came_before_it_is_kept(kept: int) -> None:
    feed = Feed()
    ticks = feed.read_bytes(record(INDEX_SNAPSHOT) + record(SNAPSHOT)[:kept], 2)
    assert [one.token for one in ticks] == ["Nifty_50"]
    assert feed.faults == {"truncated": 1}


@pytest.mark.parametrize("announced", [0, 1, 3])
def test_records_that_were_not_announced_or_not_sent_are_counted(announced: int) -> None:
    feed = Feed()
    ticks = feed.read(SNAPSHOT, UPDATE, announced=announced)
    assert len(ticks) == min(announced, 2)
    assert feed.faults == {"truncated" if announced > 2 else "trailing": 1}


def test_a_topic_given_back_is_forgotten() -> None:
    feed = Feed()
    feed.read(SNAPSHOT, INDEX_SNAPSHOT)
    assert len(feed.records.seen) == 2
    del feed.wanted[topic_of(RELIANCE)]
    feed.records.forget()
    ticks = feed.read(UPDATE, INDEX_UPDATE_RECORD)
    assert [one.token for one in ticks] == ["Nifty_50"]
    assert feed.faults == {"unknown_topic": 1}
    assert feed.records.seen == {topic_of(NIFTY)}
