"""Feed names and URLs."""

import pytest

from tapewire.providers.massive.feeds import endpoint
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
