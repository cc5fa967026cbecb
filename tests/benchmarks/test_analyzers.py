"""The analyzers benchmark on a few events: right answers pass, altered ones are noticed."""

import msgspec
import pytest
import redis

from benchmarks import analyzers, flushes, fold
from benchmarks.answers import SHARD, differences
from benchmarks.bars import expected_of, make_bar_peak
from benchmarks.batches import bodies_of
from benchmarks.frames import Recording, load
from benchmarks.peak import make_peak
from tapewire.services.analysis import Analysis
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return load(None, tmp_path_factory.mktemp("day"))


def test_rankings_and_ranges_of_a_small_peak_are_right_and_altered_ones_are_noticed(
    recording: Recording, redis_server: RedisServer
) -> None:
    peak = make_peak(recording, 10_000, 20_000)
    closes = fold.previous_closes(peak)
    expected, rows = fold.expected_of(peak, closes), fold.references(peak, closes)
    bodies = bodies_of(peak.frames())
    fold.timed(bodies, redis_server, rows, analysis=Analysis.of(["T.*"]))
    url = redis_server.url
    assert differences(url, expected) == []
    assert list(analyzers.range_differences(url, SHARD, expected)) == []
    assert list(analyzers.ranking_differences(url, peak)) == []
    with redis.Redis.from_url(url, protocol=2) as store:
        key = f"{SHARD}top_trades:{expected.date}"
        row = msgspec.msgpack.decode(store.hget(key, "5m:volume"))
        row[0][3] += 1
        store.hset(key, "5m:volume", msgspec.msgpack.encode(row))
        store.delete(f"{SHARD}daily_range:{expected.date}")
    assert len(list(analyzers.ranking_differences(url, peak))) == 1
    priced = [row for row in expected.quotes.values() if row["day_high"] is not None]
    assert len(list(analyzers.range_differences(url, SHARD, expected))) == len(priced) > 0


def test_bars_of_a_small_peak_become_the_candles_and_quotes_expected(
    recording: Recording, redis_server: RedisServer
) -> None:
    peak = make_bar_peak(recording, 5_000, 10_000)
    closes = fold.previous_closes_of(recording)
    fold.timed(
        bodies_of(peak.frames(), analyzers.AGGREGATES),
        redis_server,
        analyzers.references(peak, closes),
        shard=analyzers.AGGREGATES,
        analysis=Analysis.of(["A.*"]),
    )
    expected = expected_of(peak, closes)
    prefix = analyzers.AGGREGATES_PREFIX
    assert differences(redis_server.url, expected, prefix) == []
    assert list(analyzers.range_differences(redis_server.url, prefix, expected)) == []


def test_flushes_of_few_records_are_timed_and_a_wrong_record_is_told(
    redis_server: RedisServer,
) -> None:
    found, wrong = flushes.measured(redis_server, seconds=1, symbols=20)
    assert wrong == []
    assert len(found.ms) == flushes.STEPS
    assert 0 < found.mean_ms < 1_000
    assert found.after_cut_ms == found.ms[0]
    market = flushes.Market(20)
    assert len(list(market.differences(redis_server.url, 2 * flushes.STEPS + 1))) == 20
