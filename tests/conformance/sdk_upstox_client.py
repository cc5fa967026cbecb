"""Runs in the environment of ``upstox-python-sdk``: its streamer, connected to a given address.

Arguments: ``ws://host:port``, token, mode, instrument keys in JSON. Prints a line of JSON for
each message that the streamer hands out, until the connection ends.
"""

import json
import sys
from typing import Any

import upstox_client
import websocket

OFFICIAL = "wss://api.upstox.com"

host, token, mode, keys = sys.argv[1:]
_App = websocket.WebSocketApp


def connected_to_us(url: str, *args: Any, **more: Any) -> Any:
    """The SDK has the address in its code: all that is changed is the host."""
    assert url.startswith(OFFICIAL), url
    return _App(url.replace(OFFICIAL, host, 1), *args, **more)


websocket.WebSocketApp = connected_to_us

configuration = upstox_client.Configuration()
configuration.access_token = token
streamer = upstox_client.MarketDataStreamerV3(
    upstox_client.ApiClient(configuration), json.loads(keys), mode
)
streamer.auto_reconnect(False)
streamer.on("message", lambda message: print(json.dumps(message), flush=True))
streamer.on("error", lambda error: print(f"error: {error!r}", file=sys.stderr, flush=True))
streamer.connect()
