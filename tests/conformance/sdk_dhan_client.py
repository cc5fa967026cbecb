"""Runs in the environment of ``dhanhq``: its feed, connected to a given address.

In: ``{"url", "client_id", "token", "instruments": [[segment, id, code], ...], "frames"}``. Out:
of so many frames each as it came, in hexadecimal, and what the client returned for it.
"""

import json
import sys
from typing import Any

from dhanhq import DhanContext, MarketFeed


class Feed(MarketFeed):  # type: ignore[misc]  # the SDK has no types
    """The client as it is, but for a note of what it read."""

    noted: list[tuple[str, Any]]

    def process_data(self, data: bytes) -> Any:
        """Note a frame and what the client makes of it."""
        returned = super().process_data(data)
        self.noted.append((data.hex(), returned))
        return returned


def listen(asked: dict[str, Any]) -> list[tuple[str, Any]]:
    """Connect, subscribe, and read so many frames."""
    MarketFeed.market_feed_wss = asked["url"]
    context = DhanContext(asked["client_id"], asked["token"])
    feed = Feed(context, [tuple(one) for one in asked["instruments"]])
    feed.noted = []
    feed.run_forever()
    while len(feed.noted) < asked["frames"]:
        feed.get_data()
    return feed.noted


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(listen(json.loads(line))))
