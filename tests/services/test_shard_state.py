"""One shard's folding without I/O: positions, gaps, clocks, totals, restarts."""

import pytest
from msgspec.structs import replace

from tapewire.analyzers.halts import HaltFold
from tapewire.model.batch import encode_batch
from tapewire.model.events import Gap
from tapewire.model.rows import Reference
from tapewire.model.streams import Shard, Stream
from tapewire.services.analysis import Analysis
from tapewire.services.shard_state import event_ms
from tests.analyzers.market import Store
from tests.analyzers.tape import FRIDAY, bar, clock, gap, ms, trade
from tests.services.owner import Owner


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_batches_in_order_are_folded_and_counted(owner: Owner) -> None:
    send = owner.producer.deliver
    owner.take(
        send(trade("AAPL", 100.0, at="09:31:01"), trade("IBM", 20.0, at="09:31:01")),
        send(trade("AAPL", 101.0, at="09:31:02")),
    )
    owner.flush()
    assert owner.quote().accumulated_volume == 200
    assert (owner.state.totals.batches, owner.state.totals.events) == (2, 3)
    assert (owner.state.applied, owner.state.lost) == (3, 0)
    assert owner.gaps == []


def test_a_delivery_again_changes_nothing(owner: Owner) -> None:
    one = owner.producer.deliver(trade("AAPL", 100.0, at="09:31:01"))
    owner.take(one, one, one)
    owner.flush()
    assert owner.quote().accumulated_volume == 100
    assert owner.state.refusals.duplicates == 2
    assert owner.state.totals.events == 1


def test_a_hole_is_a_counted_and_located_gap(owner: Owner) -> None:
    send = owner.producer.deliver
    first = send(trade("AAPL", 100.0, at="09:31:58"))
    send(trade("AAPL", 100.0, at="09:32:01"), trade("AAPL", 100.0, at="09:33:01"))
    owner.take(first, send(trade("AAPL", 102.0, at="09:33:10")))
    owner.flush()
    assert owner.gaps == [
        Gap("trades.0", "mdl", 7, 1, 3, 2, ms("09:31:58"), ms("09:33:10"), "lost")
    ]
    assert (owner.state.totals.lost, owner.state.totals.gaps, owner.state.lost) == (2, 1, 2)
    assert owner.candle("09:31").gap
    owner.take(send(trade("AAPL", 102.0, at="09:34:10"), ending=True))
    owner.flush()
    assert owner.candle("09:33").gap
    assert not owner.candle("09:34").gap
    assert owner.quote().gap


def test_a_heartbeat_shows_a_loss_and_the_next_event_its_end(owner: Owner) -> None:
    send = owner.producer.deliver
    owner.take(send(trade("AAPL", 100.0, at="09:31:58")))
    send(trade("AAPL", 100.0, at="09:32:01"))
    owner.take(owner.producer.heartbeat())
    owner.flush()
    assert [(each.events, each.from_ms) for each in owner.gaps] == [(1, ms("09:31:58"))]
    assert owner.quote().gap
    owner.take(owner.producer.heartbeat(), send(trade("IBM", 20.0, at="09:33:01"), ending=True))
    owner.flush()
    assert [(each.events, each.to_ms) for each in owner.gaps[1:]] == [(0, ms("09:33:01"))]
    assert owner.candle("09:33", "IBM").gap
    assert (owner.state.totals.gaps, owner.state.totals.lost) == (1, 1)


def test_a_loss_at_the_end_reaches_to_the_newest_event_that_the_producer_had(owner: Owner) -> None:
    send = owner.producer.deliver
    owner.take(send(trade("AAPL", 100.0, at="09:31:58")))
    send(trade("AAPL", 100.0, at="09:40:01"))
    last = owner.producer.batch(ending=True)
    owner.take(encode_batch(replace(last, newest_ms=ms("09:40:01"))))
    owner.flush()
    assert [(each.from_ms, each.to_ms) for each in owner.gaps] == [(ms("09:31:58"), ms("09:40:01"))]


def test_the_end_may_be_told_again(owner: Owner) -> None:
    owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:58"), ending=True))
    owner.flush()
    stood = owner.state.second_ms
    owner.take(owner.producer.deliver(ending=True), owner.producer.deliver(ending=True))
    owner.flush()
    assert (owner.state.ended, owner.state.second_ms) == (True, stood)
    assert owner.candle("09:31").closed


def test_a_new_owner_knows_that_a_loss_has_no_end_yet(owner: Owner) -> None:
    send = owner.producer.deliver
    owner.take(send(trade("AAPL", 100.0, at="09:31:58")))
    send(trade("AAPL", 100.0, at="09:32:01"))
    owner.take(owner.producer.heartbeat())
    owner.restart()
    owner.take(send(trade("IBM", 20.0, at="09:33:01"), ending=True))
    owner.flush()
    assert owner.candle("09:33", "IBM").gap
    assert owner.gaps[-1].to_ms == ms("09:33:01")


def test_a_loss_lies_between_the_events_though_the_clock_ran_on() -> None:
    owner = Owner(live=True)
    send = owner.producer.deliver
    owner.take(send(trade("AAPL", 100.0, at="09:31:55")))
    owner.wait(15)
    assert owner.state.second_ms == ms("09:32:10")
    send(trade("AAPL", 100.0, at="09:31:57"))
    owner.take(send(trade("AAPL", 100.0, at="09:32:11")))
    owner.flush()
    assert [(each.from_ms, each.to_ms) for each in owner.gaps] == [(ms("09:31:55"), ms("09:32:11"))]
    assert owner.candle("09:31").gap


def test_a_restarted_producer_is_a_gap_of_unknown_size(owner: Owner) -> None:
    old = owner.producer.deliver(trade("AAPL", 100.0, at="09:31:01"))
    owner.take(old)
    late = owner.producer.deliver(trade("AAPL", 100.0, at="09:31:02"))
    owner.producer.restart()
    owner.producer.deliver(trade("AAPL", 100.0, at="09:31:03"))
    owner.take(owner.producer.deliver(trade("AAPL", 101.0, at="09:31:04")), late)
    owner.flush()
    assert [(each.events, each.reason) for each in owner.gaps] == [(None, "new epoch")]
    assert owner.state.refusals.old_epochs == 1
    assert (owner.state.totals.events, owner.state.totals.lost) == (2, 1)
    assert owner.quote().accumulated_volume == 200


def test_what_is_no_batch_is_counted(owner: Owner) -> None:
    owner.take(b"", b"nonsense", owner.producer.deliver(trade("AAPL", 100.0, at="09:31:01")))
    assert owner.state.refusals.undecodable == 2
    assert owner.state.totals.events == 1


def test_events_that_cannot_be_applied_are_counted_by_reason(owner: Owner) -> None:
    again = trade("AAPL", 100.0, at="09:31:01")
    owner.take(
        owner.producer.deliver(
            again, again, trade("AAPL", 100.0, at="09:00"), extra=(b'{"ev":"T"}', b"[]")
        )
    )
    assert owner.state.totals.events == 5
    assert owner.state.skips() == {
        "duplicate": 1,
        "too_late": 1,
        "missing_field": 1,
        "wrong_type": 1,
    }


def test_two_folds_of_a_shard_count_a_refusal_once() -> None:
    owner = Owner(candle_conditions="regular")
    again = trade("AAPL", 100.0, at="09:31:01")
    owner.take(owner.producer.deliver(again, again))
    assert owner.state.skips() == {"duplicate": 1}


def test_two_folds_of_a_shard_survive_a_restart() -> None:
    owner, other = Owner(candle_conditions="regular"), Owner(candle_conditions="regular")
    tape = [
        trade("AAPL", 100.0 + n, at=f"09:31:{n:02}", conditions=(14,) * (n % 2)) for n in range(10)
    ]
    for each in tape:
        owner.take(owner.producer.deliver(each))
        owner.restart()
    other.take(other.producer.deliver(*tape))
    for one in (owner, other):
        one.take(one.producer.deliver(ending=True))
        one.flush()
    assert owner.store.public() == other.store.public()
    assert owner.candle("09:31").high == 108.0
    assert owner.quote().day_high == 109.0


def test_totals_survive_their_owners(owner: Owner) -> None:
    again = trade("AAPL", 100.0, at="09:31:01")
    owner.take(owner.producer.deliver(again, again))
    owner.producer.deliver(again)
    owner.take(owner.producer.heartbeat())
    owner.restart()
    owner.take(owner.producer.deliver(again))
    owner.flush()
    totals = owner.stored_totals()
    assert (totals.batches, totals.events, totals.lost, totals.gaps) == (2, 3, 1, 1)
    assert totals.skipped == {"duplicate": 2}


def test_what_was_not_flushed_is_delivered_again_and_counted_once(owner: Owner) -> None:
    send = owner.producer.deliver
    bodies = [send(trade("AAPL", 100.0 + n, at=f"09:31:0{n}")) for n in range(6)]
    owner.take(*bodies[:3])
    owner.flush()
    owner.take(*bodies[3:5])
    owner.crash()
    owner.take(*bodies[1:])
    owner.flush()
    assert owner.quote().accumulated_volume == 600
    assert owner.state.totals.events == 6
    assert owner.state.refusals.duplicates == 2
    assert owner.gaps == []


def test_a_quiet_drain_is_empty(owner: Owner) -> None:
    owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:01")))
    assert owner.state.drain()
    owner.take(owner.producer.heartbeat())
    assert not owner.state.drain()


def test_the_last_batch_of_a_replay_closes_everything(owner: Owner) -> None:
    owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:01")))
    seen = [owner.state.ended]
    owner.take(owner.producer.deliver(ending=True))
    owner.flush()
    seen.append(owner.state.ended)
    owner.restart()
    seen.append(owner.state.ended)
    assert seen == [False, True, True]
    assert owner.candle("09:31").closed


def test_a_replay_ends_for_every_shard_when_its_newest_event_came(owner: Owner) -> None:
    owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:29:01")))
    ending = owner.producer.batch(ending=True)
    owner.take(encode_batch(replace(ending, newest_ms=ms("09:30:05"))))
    owner.flush()
    assert owner.state.second_ms == ms("09:30:06")
    assert owner.quote().open is None  # nobody traded since the open


def test_a_shard_without_an_event_has_no_time_at_the_end_either(owner: Owner) -> None:
    ending = owner.producer.batch(ending=True)
    owner.take(encode_batch(replace(ending, newest_ms=ms("09:30:05"))))
    assert owner.state.second_ms == -1
    assert owner.state.ended


def test_an_empty_replay_ends_too(owner: Owner) -> None:
    owner.take(owner.producer.deliver(ending=True))
    owner.flush()
    owner.restart()
    assert owner.state.ended
    assert owner.state.skips() == {}
    assert owner.gaps == []


def test_everything_is_written_again_for_a_store_that_lost_it(owner: Owner) -> None:
    owner.state.refer([Reference("AAPL", FRIDAY, prev_day_close=80.0)])
    send = owner.producer.deliver
    owner.take(send(trade("AAPL", 100.0, at="09:31:01"), trade("IBM", 20.0, at="09:31:50")))
    owner.take(send(trade("AAPL", 101.0, at="09:31:59")))
    owner.flush()
    before, private = owner.store.public(), owner.store.private
    owner.store = Store()
    owner.state.renew()
    owner.flush()
    assert owner.store.public() == before
    assert owner.store.private.keys() >= private.keys()
    owner.crash()
    owner.take(send(trade("AAPL", 102.0, at="09:31:59.5"), ending=True))
    owner.flush()
    assert owner.quote().accumulated_volume == 300


class TestTheQuietClock:
    def owner(self, at: str = "09:31:58.7") -> Owner:
        owner = Owner(live=True)
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at=at)))
        return owner

    def test_it_runs_on_with_the_heartbeats(self) -> None:
        owner = self.owner()
        owner.wait(0.9)
        assert owner.state.second_ms == ms("09:31:58")
        owner.wait(3.1)
        assert owner.state.second_ms == ms("09:32:02")
        owner.flush()
        assert owner.candle("09:31").closed

    def test_it_has_nothing_to_go_by_before_the_first_event(self) -> None:
        owner = Owner(live=True)
        owner.wait(5)
        assert owner.state.second_ms == -1

    def test_an_event_sets_it_again(self) -> None:
        owner = self.owner("09:31:00")
        owner.wait(2)
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:10")))
        owner.wait(0.9)
        assert owner.state.second_ms == ms("09:31:10")
        owner.wait(0.1)
        assert owner.state.second_ms == ms("09:31:11")

    def test_a_delayed_feeds_clock_stays_behind_by_the_delay(self) -> None:
        owner = Owner(live=True, delay_ms=15 * 60_000)
        owner.producer.now_ms = ms("09:46:00")
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:00")))
        owner.wait(90)
        assert owner.state.second_ms == ms("09:32:30")

    def test_heartbeats_that_come_late_move_it_no_further_than_the_events_before_them(self) -> None:
        owner, send = self.owner("09:31:00"), []
        for second in range(1, 31):  # half a minute that waits in a queue
            owner.producer.now_ms = second * 1000
            if second % 7 == 0:
                sold = trade("AAPL", 100.0 + second, at=f"09:31:{second:02}")
                send.append(owner.producer.deliver(sold))
            send.append(owner.producer.heartbeat())
        owner.state.tick(100_000.0)
        owner.state.tick(130_000.0)  # frozen meanwhile, just after a look at the clock
        assert owner.state.second_ms == ms("09:31:00")
        owner.take(*send)
        assert owner.state.second_ms == ms("09:31:30")
        owner.flush()
        assert owner.quote().close == 128.0
        assert owner.state.skips() == {}

    def test_without_a_word_from_any_listener_our_own_clock_drives(self) -> None:
        owner = self.owner("09:31:00")
        for second in range(60):
            owner.state.tick(second * 1_000.0)
        assert owner.state.second_ms == ms("09:31:00")
        owner.state.tick(60_000.0)
        assert owner.state.second_ms == ms("09:32:00")
        owner.state.tick(500_000.0)  # frozen: nobody knows what was missed
        assert owner.state.second_ms == ms("09:32:01")
        owner.wait(90)
        assert owner.state.second_ms == ms("09:32:30")

    def test_the_next_owners_stands_where_this_ones_would(self) -> None:
        stays, goes = self.owner(), self.owner()
        for owner in (stays, goes):
            owner.wait(3)
            owner.flush()
        goes.crash()
        for owner in (stays, goes):
            owner.producer.now_ms += 3_600_000
            owner.take(owner.producer.heartbeat())
        assert stays.state.second_ms == goes.state.second_ms == ms("10:32:01")

    def test_a_replay_has_none(self, owner: Owner) -> None:
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:31:00")))
        owner.wait(5)
        owner.state.tick(0.0)
        owner.state.tick(1e9)
        assert owner.state.second_ms == ms("09:31:00")


class TestEventsFromTheFuture:
    @pytest.mark.parametrize(("delay_ms", "at"), [(0, "09:31"), (900_000, "09:46")])
    def test_they_are_counted_and_move_nothing(self, delay_ms: int, at: str) -> None:
        owner = Owner(live=True, delay_ms=delay_ms)
        owner.producer.now_ms = ms(at)
        send = owner.producer.deliver
        owner.take(send(trade("AAPL", 90.0, at="15:00:00")))
        owner.take(
            send(
                trade("AAPL", 100.0, at="09:30:59.9"),
                trade("AAPL", 900.0, at="09:36:01"),
                trade("IBM", 20.0, at="09:30:59.95"),
            )
        )
        assert owner.state.second_ms == ms("09:30:59")
        assert owner.state.skips() == {"ahead_of_clock": 2}
        owner.take(send(trade("AAPL", 101.0, at="09:31:02"), ending=True))
        owner.flush()
        assert owner.quote().day_high == 101.0
        assert owner.state.totals.events == owner.producer.taken_in == 5
        assert owner.gaps == []

    def test_five_minutes_are_forgiven_to_a_clock_that_is_not_set_well(self) -> None:
        owner = Owner(live=True, delay_ms=0)
        owner.producer.now_ms = ms("09:31:00")
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:36:00")))
        assert owner.state.second_ms == ms("09:36:00")

    def test_a_feed_of_ones_own_may_play_any_day(self) -> None:
        owner = Owner(live=True)
        owner.take(owner.producer.deliver(trade("AAPL", 100.0, at="09:36:00")))
        assert owner.state.second_ms == ms("09:36:00")


def test_the_time_of_an_event_on_its_shards_clock() -> None:
    assert event_ms(trade("AAPL", 1.0, at="09:31:00.5")) == ms("09:31:00.5")
    assert event_ms(bar("AAPL", 1.0, at="09:31:00")) == ms("09:31:01") - 1
    assert event_ms(clock("09:31")) == ms("09:31")
    assert event_ms(gap("09:31", "09:32")) == ms("09:32")


class TestAnalysis:
    def streams(self, *topics: str, **choices: str) -> dict[str, list[list[str]]]:
        make = Analysis.of(topics, **choices).maker()
        return {
            stream.value: [
                [type(part).__name__ for part in fold._clock.parts]  # type: ignore[attr-defined]
                for fold in make(Shard(stream, 0))
            ]
            for stream in Stream
            if stream not in (Stream.HALTS, Stream.TICKS) and make(Shard(stream, 0))
        }

    def test_halts_are_folded_whatever_else_is(self) -> None:
        (fold,) = Analysis.of(["LULD.*"]).maker()(Shard(Stream.HALTS, 0))
        assert isinstance(fold, HaltFold)

    def test_trades_alone_fold_everything(self) -> None:
        assert self.streams("T.*") == {
            "trades": [
                [
                    "QuoteRecords",
                    "LeaderboardAnalyzer",
                    "DailyRangeAnalyzer",
                    "TopTradesAnalyzer",
                    "AtomicOhlcEngine",
                ]
            ]
        }

    def test_with_aggregates_quotes_come_from_these_and_candles_from_trades(self) -> None:
        assert self.streams("T.*", "A.*", "Q.*") == {
            "trades": [["TopTradesAnalyzer", "AtomicOhlcEngine"]],
            "aggregate": [["QuoteRecords", "LeaderboardAnalyzer", "DailyRangeAnalyzer"]],
            "quotes": [[]],
        }

    def test_the_quote_source_can_be_chosen(self) -> None:
        assert self.streams("T.*", "A.*", quote_source="trades") == {
            "trades": [
                [
                    "QuoteRecords",
                    "LeaderboardAnalyzer",
                    "DailyRangeAnalyzer",
                    "TopTradesAnalyzer",
                    "AtomicOhlcEngine",
                ]
            ]
        }

    def test_aggregates_alone_fold_everything_but_single_trades(self) -> None:
        assert self.streams("AM.*") == {
            "trades": [["TopTradesAnalyzer"]],
            "aggregate": [
                ["QuoteRecords", "LeaderboardAnalyzer", "DailyRangeAnalyzer", "AtomicOhlcEngine"]
            ],
        }

    def test_leans_rule_gives_candles_a_fold_of_their_own(self) -> None:
        assert self.streams("T.*", candle_conditions="regular") == {
            "trades": [
                ["QuoteRecords", "LeaderboardAnalyzer", "DailyRangeAnalyzer", "TopTradesAnalyzer"],
                ["AtomicOhlcEngine"],
            ]
        }

    @pytest.mark.parametrize(
        ("topics", "bar_ms"), [(["A.*"], 1_000), (["AM.*"], 60_000), (["A.*", "AM.*"], 1_000)]
    )
    def test_of_both_lengths_the_seconds_count(self, topics: list[str], bar_ms: int) -> None:
        assert Analysis.of(topics).bar_ms == bar_ms
