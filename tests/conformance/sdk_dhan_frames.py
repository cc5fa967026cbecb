"""Runs in the environment of ``dhanhq``: what its feed makes of packets, a line for each lot.

In: a list of packets in hexadecimal. Out: for each what the client returns, and what it prints.
"""

import io
import json
import sys
from contextlib import redirect_stdout
from typing import Any

from dhanhq import DhanContext, MarketFeed


def decode(feed: Any, packet: str) -> tuple[Any, str]:
    """What the client returns for a packet, and what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        returned = feed.process_data(bytes.fromhex(packet))
    return returned, printed.getvalue()


if __name__ == "__main__":
    made = MarketFeed(DhanContext("1", "token"), [])
    for line in sys.stdin:
        print(json.dumps([decode(made, packet) for packet in json.loads(line)]))
