"""Rows that do not decode are as good as none, and counted; nothing else is lost."""

from collections.abc import Mapping

import pytest

from tapewire.caches.cache import Followed, Place
from tapewire.hub.candles import CandleTable
from tapewire.hub.decoding import Decoding
from tapewire.hub.market import Market
from tapewire.hub.tables import RecordTable
from tapewire.model.candle_names import CandleHash
from tapewire.model.changes import Published
from tapewire.model.feeds import AS_OF, halt_hash, prints_hash, quote_hash, top_trades_hash
from tapewire.model.rows import HaltState, LargestPrint, QuoteRecord, TopTrade, encode_row
from tests.hub.events import Store, Told, follow, halt
from tests.hub.stage import (
    FRIDAY,
    MONDAY,
    SHARD,
    Client,
    Stage,
    candle,
    candles_of,
    packed_candles,
    packed_seconds,
    quote,
)

DAMAGED = b"\xc1"
OTHER_LAYOUT = encode_row(["AIG", {"last": 10.0}])
NINE = 1_795_185_000_000


class Flushes:
    """Flushes of one shard, row by row as they are packed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.written = 0

    def write(self, rows: Mapping[str, dict[str, bytes]], shard: str = SHARD) -> None:
        self.written += 1
        changes = Published(dict(rows), {}, {}, {}, [])
        self.stage.hub.market.take([Followed(shard, Place(1, self.written), changes)])
        self.stage.second()


def counted(stage: Stage) -> dict[str, int]:
    return dict(stage.hub.market.decoding.counts)


@pytest.mark.parametrize("bad", [DAMAGED, OTHER_LAYOUT, b""])
def test_a_record_that_does_not_decode_is_absent_and_counted_once(bad: bytes) -> None:
    stage = Stage()
    flushes = Flushes(stage)
    client = stage.connect()
    client.subscribe("quote:*", "quote:AIG")
    flushes.write({quote_hash(FRIDAY): {"AIG": bad, "BAC": encode_row(quote("BAC", 2.0))}})
    assert list(client.feeds["quote:*"].rows) == ["BAC"]
    assert client.feeds["quote:AIG"].rows == {}
    assert [row["symbol"] for row in client.ask("quote:*", limit=1)] == ["BAC"]
    assert counted(stage) == {"quote": 1}
    assert stage.hub.market.decoding.causes["quote"]


def test_a_record_that_turns_bad_goes_and_comes_back_when_it_is_written_again() -> None:
    stage = Stage()
    flushes = Flushes(stage)
    client = stage.connect()
    client.subscribe("quote:*")
    for packed, shown in (
        (encode_row(quote("AIG", 1.0)), ["AIG"]),
        (OTHER_LAYOUT, []),
        (encode_row(quote("AIG", 3.0)), ["AIG"]),
    ):
        flushes.write({quote_hash(FRIDAY): {"AIG": packed}})
        assert list(client.feeds["quote:*"].rows) == shown
    assert client.feeds["quote:*"].rows["AIG"]["close"] == 3.0


def test_a_board_lists_a_symbol_whose_record_does_not_decode() -> None:
    stage = Stage()
    stage.flush(quotes=[quote("BAC", 2.0)], boards={"top_volume": {"AIG": 2.0, "BAC": 1.0}})
    Flushes(stage).write({quote_hash(FRIDAY): {"AIG": DAMAGED}}, "trades.1")
    lines = stage.connect().ask("scanners:top_volume")
    assert [(line["rank"], line["symbol"], line["close"]) for line in lines] == [
        (1, "AIG", None), (2, "BAC", 2.0),
    ]  # fmt: skip


def test_of_two_shards_records_the_one_that_decodes_counts() -> None:
    decoding = Decoding()
    table = RecordTable(QuoteRecord, family="quote", decoding=decoding)
    good = encode_row(quote("AIG", 5.0))
    for first, second in ((good, DAMAGED), (DAMAGED, good)):
        table.clear()
        table.put("trades.0", FRIDAY, {"AIG": first})
        table.put("trades.1", FRIDAY, {"AIG": second})
        row = table.row("AIG")
        assert row is not None
        assert row[table.fields.index("close")] == 5.0
    assert decoding.counts == {"quote": 2}


def test_other_feeds_records_count_under_their_own_family() -> None:
    stage = Stage()
    state = HaltState("BAC", True, None, None, None, None, None, 1, False)
    Flushes(stage).write({halt_hash(FRIDAY): {"AIG": DAMAGED, "BAC": encode_row(state)}})
    rows = stage.connect().ask("halt_state:*")
    assert [row["symbol"] for row in rows] == ["BAC"]
    assert counted(stage) == {"halt_state": 1}


def test_a_hash_that_is_of_no_trading_date_hides_no_other() -> None:
    stage = Stage()
    flushes = Flushes(stage)
    flushes.write({quote_hash(FRIDAY): {"AIG": encode_row(quote("AIG", 1.0))}})
    flushes.write({"quote:v2": {"AIG": DAMAGED}, "top_trades:": {"1m:value": DAMAGED}})
    assert [row["close"] for row in stage.connect().ask("quote:*")] == [1.0]
    assert counted(stage) == {"quote": 1, "top_trades": 1}


def ranking(*symbols: str) -> bytes:
    ranks = enumerate(symbols, 1)
    return encode_row([TopTrade(n, s, 5, 100, 9.0 - n, 1.0, 20.0, 50, None) for n, s in ranks])


def test_a_shard_whose_ranking_does_not_decode_takes_no_part() -> None:
    stage = Stage()
    flushes = Flushes(stage)
    name, as_of = top_trades_hash(FRIDAY), {AS_OF: encode_row(1_000)}
    flushes.write({name: {"1m:value": ranking("AIG"), **as_of}})
    flushes.write({name: {"1m:value": OTHER_LAYOUT, "5m:value": ranking("BAC"), **as_of}}, "t.1")
    client = stage.connect()
    client.subscribe("top_trades:1m:value")
    flushes.write({name: as_of})
    assert [row["symbol"] for row in client.ask("top_trades:1m:value")] == ["AIG"]
    assert [row["symbol"] for row in client.ask("top_trades:5m:value")] == ["BAC"]
    assert counted(stage) == {"top_trades": 1}


def test_prints_that_do_not_decode_leave_the_other_shards() -> None:
    stage = Stage()
    flushes = Flushes(stage)
    prints = encode_row([LargestPrint(1, "AIG", 9.0, 1, 9.0, 1, (), 4, 1)])
    flushes.write({prints_hash(FRIDAY): {"prints": DAMAGED}})
    flushes.write({prints_hash(FRIDAY): {"prints": prints}}, "trades.1")
    assert [row["symbol"] for row in stage.connect().ask("largest_prints")] == ["AIG"]
    assert counted(stage) == {"largest_prints": 1}


def test_one_bad_candle_leaves_the_others_of_its_hash() -> None:
    decoding = Decoding()
    table = CandleTable("AIG", "1m", decoding)
    good = packed_candles(candle(NINE, 1.0), candle(NINE + 60_000, 2.0))
    table.load({}, [(candles_of("AIG"), {"571x": DAMAGED, "570": DAMAGED, **good})])
    assert sorted(table.rows(None)) == [NINE, NINE + 60_000]
    assert decoding.counts == {"candles": 2}
    table.put("t.0", Place(1, 1), candles_of("AIG").name, {"600": OTHER_LAYOUT})
    assert sorted(table.rows(None)) == [NINE, NINE + 60_000]
    assert decoding.counts == {"candles": 3}


def test_one_bad_slot_of_seconds_leaves_the_others() -> None:
    decoding = Decoding()
    table = CandleTable("AIG", "1s", decoding)
    rows = packed_seconds(candle(NINE, 1.0)) | {str(NINE + 10_000): DAMAGED}
    table.load({}, [(CandleHash.of("US", "AIG", "1s"), rows)])
    assert list(table.rows(None)) == [NINE]
    assert decoding.counts == {"candles": 1}


def test_the_newest_candle_is_the_newest_that_can_be_read() -> None:
    decoding = Decoding()
    good = packed_candles(candle(NINE, 1.0), candle(NINE + 60_000, 2.0))
    [_, newest] = good
    rows = {**good, newest: DAMAGED, "x": DAMAGED}
    assert decoding.newest(candles_of("AIG"), rows) == {key: good[key] for key in [*good][:1]}
    assert decoding.newest(candles_of("AIG"), {"x": DAMAGED}) == {}
    assert decoding.counts == {"candles": 2}


def test_candles_under_another_versions_name_are_counted() -> None:
    market = Market()
    market.candles["1m", "*"] = CandleTable("*", "1m", market.decoding)
    market.candles["1s", "*"] = CandleTable("*", "1s", market.decoding)
    rows: dict[str, dict[str, bytes]] = {
        "candles:AIG": {"1": b"", "2": b""},
        "seconds:9": {"A": b""},
    }
    market.take([Followed(SHARD, Place(1, 1), Published(rows, {}, {}, {}, []))])
    market.apply()
    assert market.decoding.counts == {"candles": 3}


class Halts:
    """A stage whose halts are stored; a client that follows them."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.store = Store(self.stage)

    def client(self, **options: object) -> tuple[Client, Told]:
        client = self.stage.connect()
        client.subscribe("halts", **options)
        self.store.load()
        return client, Told()

    def add(self, *packed: bytes, shard: str = "halts.0") -> None:
        self.store.add_packed("halts", list(packed), shard)
        self.stage.tick(10)


def item(number: int) -> bytes:
    return encode_row(halt(number))


def test_an_item_that_does_not_decode_is_told_as_a_gap_and_the_others_come() -> None:
    halts = Halts()
    client, told = halts.client()
    halts.add(item(1))
    follow(client, told, "halts")
    halts.add(item(2), DAMAGED, item(4))
    messages = client.taken("gap", "snapshot", "event")
    assert [one["op"] for one in messages] == ["gap", "snapshot"]
    assert messages[0]["reason"] == "these cannot be read by this version"
    told.take(messages)
    halts.add(item(5))
    follow(client, told, "halts")
    assert (told.times, told.seq) == ([1, 2, 4, 5], 5)
    assert sum(to - at for at, to in told.lost) == 1
    assert counted(halts.stage) == {"halts": 1}
    assert halts.stage.hub.counters["dropped_items"] == 0


def test_a_message_of_which_nothing_can_be_read_is_all_gap() -> None:
    halts = Halts()
    client, told = halts.client()
    follow(client, told, "halts")
    halts.add(DAMAGED, OTHER_LAYOUT)
    follow(client, told, "halts")
    assert (told.items, told.lost, told.seq) == ([], [(0, 2)], 2)


def test_stored_items_that_do_not_decode_keep_their_numbers() -> None:
    halts = Halts()
    halts.store.keep("halts", [item(1), DAMAGED, item(3)])
    halts.store.keep("halts", [DAMAGED, item(2)], "halts.1")
    client, told = halts.client(limit=3)
    follow(client, told, "halts")
    assert (told.times, told.seq) == ([1, 2, 3], 5)
    halts.add(item(9), shard="halts.1")
    follow(client, told, "halts")
    assert (told.times, told.seq) == ([1, 2, 3, 9], 6)
    assert counted(halts.stage) == {"halts": 2}


def test_who_comes_back_is_told_which_of_the_missed_items_are_gone() -> None:
    halts = Halts()
    client, told = halts.client()
    halts.add(item(1))
    follow(client, told, "halts")
    halts.stage.hub.disconnect(client.session)
    halts.add(DAMAGED, item(3))
    back, _ = halts.client(since=told.position)
    messages = back.taken("gap", "snapshot", "event")
    assert [(one["from"], one["to"]) for one in messages[:1]] == [(1, 2)]
    assert [row["timestamp_ms"] for row in messages[1]["rows"]] == [3]


def test_dates_of_two_days_do_not_mix_when_one_is_bad() -> None:
    stage = Stage()
    flushes = Flushes(stage)
    flushes.write({quote_hash(MONDAY): {"AIG": encode_row(quote("AIG", 2.0))}})
    flushes.write({quote_hash(FRIDAY): {"AIG": DAMAGED}})
    assert [row["close"] for row in stage.connect().ask("quote:AIG")] == [2.0]
