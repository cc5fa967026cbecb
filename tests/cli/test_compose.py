"""What settings and options are turned into."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tapewire.cli import compose
from tapewire.cli.wiring import Wiring, parse_streams, shards_of, topics_of
from tapewire.market.sessions import SessionCalendar
from tapewire.model.streams import Shard, Stream
from tapewire.queues.memory import MemoryBroker, MemoryQueue
from tapewire.runtime.service import DependencyMissing, UsageError
from tapewire.runtime.settings import Settings


def settings(**given: Any) -> Settings:
    return Settings(tapewire_data_dir=Path("data"), **given)


def test_the_streams_are_those_that_are_subscribed() -> None:
    assert parse_streams(None, settings()) == (Stream.TRADES, Stream.AGGREGATE, Stream.HALTS)
    subscribed = settings(massive_subscriptions="AM.*,LULD.*,Q.AIG")
    assert parse_streams(None, subscribed) == (
        Stream.AGGREGATE, Stream.HALTS, Stream.QUOTES,
    )  # fmt: skip


def test_streams_may_be_named() -> None:
    assert parse_streams("quotes, trades,quotes", settings()) == (
        Stream.QUOTES, Stream.TRADES,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["trade", "trades,candles", "unknown", "", ","])
def test_a_stream_that_does_not_exist_names_those_that_do(text: str) -> None:
    with pytest.raises(UsageError, match="trades, aggregate, quotes, halts, ticks"):
        parse_streams(text, settings())


def test_brokers_have_one_stream_and_a_processor_may_carry_it_beside_others() -> None:
    assert parse_streams(None, settings(), "brokers") == (Stream.TICKS,)
    assert parse_streams(None, settings(), "fyers") == (Stream.TICKS,)
    mixed = parse_streams("trades,ticks", settings())
    assert mixed == (Stream.TRADES, Stream.TICKS)
    assert topics_of(settings(), mixed) == ("T.*",)


def test_ticks_may_be_of_any_day_only_where_brokers_are_not_at_their_own_addresses() -> None:
    assert compose.tick_delay_ms(settings()) == 0
    own = settings(dhan_rest_url="http://127.0.0.1:9000")
    assert compose.tick_delay_ms(own) is None
    assert compose.tick_delay_ms(own.replaced(brokers=("upstox",))) == 0


def test_a_named_stream_is_fed_by_its_own_subscriptions_else_by_everything() -> None:
    narrow = settings(massive_subscriptions="T.AIG,T.BAC,A.*")
    assert topics_of(narrow, (Stream.TRADES, Stream.QUOTES)) == ("T.AIG", "T.BAC", "Q.*")


def test_every_stream_has_the_deployments_shards() -> None:
    sharded = settings(tapewire_shards=2)
    assert shards_of(sharded, (Stream.TRADES, Stream.HALTS)) == [
        Shard(Stream.TRADES, 0), Shard(Stream.TRADES, 1),
        Shard(Stream.HALTS, 0), Shard(Stream.HALTS, 1),
    ]  # fmt: skip


def test_live_queues_have_the_settings_prefix_and_ttl() -> None:
    layout = compose.build_layout(
        settings(queue_prefix="eu.", market_data_message_ttl=2500),
        Wiring(streams=(Stream.TRADES,)),
    )
    shard = Shard(Stream.TRADES, 0)
    assert layout.name(shard) == "eu.trades"
    assert layout.arguments(shard).ttl_ms == 2500
    assert layout.arguments(shard).max_bytes is not None


def test_lossless_queues_have_a_prefix_of_their_own_and_no_bounds() -> None:
    wiring = Wiring(streams=(Stream.TRADES,), lossless=True, prefix="replay.1.")
    layout = compose.build_layout(settings(queue_prefix="eu."), wiring)
    shard = Shard(Stream.TRADES, 0)
    assert layout.name(shard) == "replay.1.trades"
    assert layout.arguments(shard).ttl_ms is None
    assert layout.arguments(shard).max_bytes is None


def test_a_shared_broker_makes_the_queue_an_in_process_one() -> None:
    wiring = Wiring(streams=(Stream.TRADES,), broker=MemoryBroker())
    assert isinstance(compose.build_queue(settings(), wiring), MemoryQueue)


def test_a_missing_server_is_a_missing_dependency_that_names_its_setting() -> None:
    with pytest.raises(DependencyMissing, match="RABBITMQ_URL is not set"):
        compose.build_queue(settings(), Wiring(streams=(Stream.TRADES,)))


def test_the_lease_is_of_an_account_and_does_not_show_its_key() -> None:
    names = {
        compose.lease_name(settings(massive_api_key=SecretStr(key), massive_market=market))
        for key in ("first-key", "second-key")
        for market in ("stocks", "crypto")
    }
    assert len(names) == 4
    assert not any("key" in name for name in names)


def test_a_feed_at_an_address_of_ones_own_is_always_expected_to_be_live() -> None:
    own = settings(massive_feed="ws://127.0.0.1:4300")
    assert compose.is_live(own, SessionCalendar.load("XNYS"))()
