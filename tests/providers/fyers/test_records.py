"""Fyers' records byte by byte, and the topics of one connection."""

from collections import Counter

import pytest

from tapewire.providers.fyers.records import (
    ABSENT,
    INDEX_FIELDS,
    SYMBOL_FIELDS,
    Records,
    Update,
    named_values,
)

RELIANCE = "sf|nse_cm|2885"
NIFTY = "if|nse_cm|Nifty 50"
WANTED = (RELIANCE, NIFTY)

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
INDEX_UPDATE = f"55 0800 06 0021d8ba {A} 6553f102 {A * 3}"
DEPTH_SNAPSHOT = "53 0900 0e 64707c6e73655f636d7c32383835 01 00000001 0000 0001 02 00 00 00"
AT_S = 0x6553F100


def record(written: str) -> bytes:
    return bytes.fromhex(written)


class Feed:
    """Records read one after the other, with their faults."""

    def __init__(self, *wanted: str) -> None:
        self.faults: Counter[str] = Counter()
        self.wanted = set(wanted or WANTED)
        self.records = Records(self.wanted, self.faults)

    def read(self, *written: str, announced: int | None = None) -> list[Update]:
        count = len(written) if announced is None else announced
        return self.records.read(b"".join(map(record, written)), 0, count)


def test_a_snapshot_has_the_documented_bytes() -> None:
    (update,) = Feed().read(SNAPSHOT)
    topic = update.topic
    assert (topic.name, topic.exchange, topic.token) == (RELIANCE, "NSE_EQ", "2885")
    assert (topic.venue, topic.venue_token, topic.symbol) == ("NSE", "2885", "NSE:RELIANCE")
    assert not topic.is_index
    assert (update.last_price, update.last_size, update.day_volume) == (1459.97, 75, 10**6)
    assert (update.open_interest, update.time_s, update.snapshot) == (5, AT_S, True)


def test_every_field_of_a_vector_has_its_place() -> None:
    (update,) = Feed().read(SNAPSHOT)
    assert named_values(update) == {
        "last_price": 1459.97,
        "day_volume": 1_000_000,
        "last_trade_time_s": AT_S,
        "feed_time_s": AT_S + 1,
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


def test_an_update_keeps_what_it_leaves_out() -> None:
    _, update = Feed().read(SNAPSHOT, UPDATE)
    assert (update.last_price, update.day_volume, update.last_size) == (1460.07, 1_000_016, 16)
    assert (update.open_interest, update.time_s, update.snapshot) == (5, AT_S, False)
    carried = {"last_price": 1460.07, "day_volume": 1_000_016, "last_size": 16}
    assert named_values(update) == carried


def test_a_lite_record_has_a_price_and_nothing_else() -> None:
    _, lite, update = Feed().read(SNAPSHOT, LITE, f"55 0700 15 {A * 21}")
    assert (lite.last_price, lite.last_size, lite.day_volume) == (1460.17, 0, None)
    assert (lite.open_interest, lite.time_s, lite.snapshot) == (None, None, False)
    assert (update.last_price, update.day_volume) == (1460.17, 10**6)


def test_an_index_has_a_value_and_a_time_but_no_volume() -> None:
    snapshot, update = Feed().read(INDEX_SNAPSHOT, INDEX_UPDATE)
    assert snapshot.topic.is_index
    assert (snapshot.topic.exchange, snapshot.topic.token) == ("NSE_INDEX", "Nifty 50")
    assert (snapshot.last_price, snapshot.time_s, snapshot.snapshot) == (22181.6, AT_S + 1, True)
    assert (update.last_price, update.time_s, update.day_volume) == (22181.7, AT_S + 2, None)
    assert named_values(snapshot)["low"] == 22118.4
    assert named_values(update) == {"last_price": 22181.7, "feed_time_s": AT_S + 2}


def test_a_snapshot_without_a_trade_has_no_price() -> None:
    (update,) = Feed().read(SNAPSHOT.replace(VECTOR, A * 21))
    assert (update.last_price, update.last_size, update.day_volume) == (None, 0, None)
    assert (update.open_interest, update.time_s) == (None, None)
    assert named_values(update) == {}
    assert set(update.values) == {ABSENT}


def test_a_volume_past_2_31_is_read_unsigned() -> None:
    (update,) = Feed().read(SNAPSHOT.replace("000f4240", "80000001"))
    assert update.day_volume == named_values(update)["day_volume"] == 2**31 + 1


def test_precision_and_multiplier_scale_a_price() -> None:
    (update,) = Feed().read(SNAPSHOT.replace("0000 0001 02", "0000 0064 04"))
    assert update.last_price == 0.145997


def test_a_new_snapshot_of_an_id_replaces_the_topic() -> None:
    again = SNAPSHOT.replace("0000 0001 02", "0000 0001 01")
    *_, update = Feed().read(SNAPSHOT, again, UPDATE)
    assert update.last_price == 14600.7


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
    updates = feed.read(odd, INDEX_SNAPSHOT)
    assert [update.topic.name for update in updates] == [NIFTY]
    assert feed.faults == {fault: 1}


@pytest.mark.parametrize("extra", ["", A * 2])
def test_a_vector_of_another_length_gives_its_known_fields(extra: str) -> None:
    feed = Feed()
    count = "05" if not extra else "08"
    values = f"0021d8ba {A} 6553f102 {A * 2}" + (A + extra if extra else "")
    _, update = feed.read(INDEX_SNAPSHOT, f"55 0800 {count} {values}")
    assert named_values(update) == {"last_price": 22181.7, "feed_time_s": AT_S + 2}
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
    frame = record(INDEX_SNAPSHOT) + record(SNAPSHOT)[:kept]
    assert [update.topic.name for update in feed.records.read(frame, 0, 2)] == [NIFTY]
    assert feed.faults == {"truncated": 1}


@pytest.mark.parametrize("announced", [0, 1, 3])
def test_records_that_were_not_announced_or_not_sent_are_counted(announced: int) -> None:
    feed = Feed()
    updates = feed.read(SNAPSHOT, UPDATE, announced=announced)
    assert len(updates) == min(announced, 2)
    assert feed.faults == {"truncated" if announced > 2 else "trailing": 1}


def test_a_topic_given_back_is_forgotten() -> None:
    feed = Feed()
    feed.read(SNAPSHOT, INDEX_SNAPSHOT)
    feed.wanted.discard(RELIANCE)
    feed.records.forget()
    updates = feed.read(UPDATE, INDEX_UPDATE)
    assert [update.topic.name for update in updates] == [NIFTY]
    assert feed.faults == {"unknown_topic": 1}


def test_a_segment_without_a_name_here_has_no_exchange() -> None:
    (update,) = Feed("sf|xyz_cm|2885").read(SNAPSHOT.replace("6e73655f636d", "78797a5f636d"))
    assert (update.topic.exchange, update.topic.token) == ("", "2885")
