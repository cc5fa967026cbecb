"""Feed names and URLs."""

import pytest

from tapewire.providers.massive.feeds import delay_ms, endpoint
from tapewire.runtime.service import UsageError


@pytest.mark.parametrize(
    ("feed", "url"),
    [
        ("RealTime", "wss://socket.massive.com/stocks"),
        ("Delayed", "wss://delayed.massive.com/stocks"),
        ("business", "wss://business.massive.com/stocks"),
        ("DelayedBusiness", "wss://delayed-business.massive.com/stocks"),
        ("delayed-business", "wss://delayed-business.massive.com/stocks"),
        ("StarterFeed", "wss://starterfeed.massive.com/stocks"),
        ("ws://127.0.0.1:4000", "ws://127.0.0.1:4000/stocks"),
        ("ws://127.0.0.1:4000/", "ws://127.0.0.1:4000/stocks"),
        ("wss://feed.example:444/stocks", "wss://feed.example:444/stocks"),
    ],
)
def test_a_feed_names_its_url(feed: str, url: str) -> None:
    assert endpoint(feed) == url


@pytest.mark.parametrize("feed", ["", "Sometimes", "http://127.0.0.1:1", "ws://", "wss:///stocks"])
def test_anything_else_is_refused_with_what_is_known(feed: str) -> None:
    with pytest.raises(UsageError, match="expected one of RealTime, delayed"):
        endpoint(feed)


@pytest.mark.parametrize(
    ("feed", "minutes"),
    [("RealTime", 0), ("Delayed", 15), ("delayed-business", 15), ("DelayedBusiness", 15)],
)
def test_a_named_feed_has_a_delay(feed: str, minutes: int) -> None:
    assert delay_ms(feed) == minutes * 60_000


def test_a_feed_of_ones_own_may_play_any_day() -> None:
    assert delay_ms("ws://127.0.0.1:4000") is None
