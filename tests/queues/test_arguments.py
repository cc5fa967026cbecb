import pytest

from tapewire.model.streams import Shard, Stream
from tapewire.queues.arguments import QueueArguments, QueueLayout

TRADES = Shard(Stream.TRADES, 0)


def test_live_queues_are_perishable_and_bounded() -> None:
    assert QueueLayout().arguments(TRADES).for_broker() == {
        "x-queue-type": "classic",
        "x-single-active-consumer": True,
        "x-message-ttl": 5_000,
        "x-max-length-bytes": 67_108_864,
        "x-overflow": "drop-head",
    }


def test_news_waits_fifteen_minutes() -> None:
    layout = QueueLayout(ttl_ms=1_000)
    assert layout.arguments(Shard(Stream.NEWS, 0)).ttl_ms == 900_000
    assert layout.arguments(TRADES).ttl_ms == 1_000


@pytest.mark.parametrize("none", [0, None])
def test_no_time_to_live_means_no_such_argument(none: int | None) -> None:
    arguments = QueueLayout(ttl_ms=none, max_bytes=none).arguments(TRADES)
    assert arguments == QueueArguments(None, None)
    assert arguments.for_broker() == {
        "x-queue-type": "classic",
        "x-single-active-consumer": True,
    }


def test_a_lossless_run_has_neither_age_nor_length() -> None:
    layout = QueueLayout.lossless("replay.7.", {Stream.TRADES: 2})
    assert layout.name(Shard(Stream.TRADES, 1)) == "replay.7.trades.1"
    for stream in Stream:
        assert layout.arguments(Shard(stream, 0)) == QueueArguments(None, None)


def test_one_shard_has_the_plain_name_and_several_are_numbered() -> None:
    layout = QueueLayout("tw.", {Stream.TRADES: 1, Stream.QUOTES: 2})
    assert layout.name(TRADES) == "tw.trades"
    assert layout.name(Shard(Stream.QUOTES, 1)) == "tw.quotes.1"
    assert layout.name(Shard(Stream.UNKNOWN, 0)) == "tw.unknown"


def test_a_shard_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trades\.2 does not exist: trades has 2 shard"):
        QueueLayout(shards={Stream.TRADES: 2}).name(Shard(Stream.TRADES, 2))
