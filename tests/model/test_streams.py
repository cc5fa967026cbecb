"""Shards and their names."""

import pytest

from tapewire.model.streams import Shard, Stream


@pytest.mark.parametrize("stream", Stream)
def test_a_name_reads_back(stream: Stream) -> None:
    assert Shard.parse(Shard(stream, 12).name) == Shard(stream, 12)


@pytest.mark.parametrize("name", ["", "trades", "trades.", "trades.x", "oranges.0", ".0"])
def test_a_wrong_name_says_what_is_expected(name: str) -> None:
    with pytest.raises(ValueError, match="is not a shard name; expected STREAM") as caught:
        Shard.parse(name)
    assert "trades, aggregate" in str(caught.value)
