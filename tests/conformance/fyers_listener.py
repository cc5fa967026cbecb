"""Fyers' own client, pointed at another address, in an environment of its own.

In: a line ``{"ws": URL, "rest": URL, "token": JWT, "tickers": [...], "count": N, "lite": bool}``.
Out: the first N messages that have a price, once they have come.
"""

import json
import os
import sys
import tempfile
import threading
from typing import Any

from fyers_apiv3.FyersWebsocket import data_ws, defines  # type: ignore[import-not-found]


def listen(question: dict[str, Any], folder: str) -> list[dict[str, Any]]:
    """Connect, subscribe and wait."""
    said: list[dict[str, Any]] = []
    enough = threading.Event()

    def take(message: dict[str, Any]) -> None:
        if "ltp" in message and len(said) < question["count"]:
            said.append(dict(message))
        if len(said) >= question["count"]:
            enough.set()

    point_elsewhere(question["rest"])
    socket: Any = data_ws.FyersDataSocket(
        question["token"],
        log_path=folder,
        litemode=question["lite"],
        reconnect=False,
        on_message=take,
        on_connect=lambda: socket.subscribe(question["tickers"]),
        on_error=lambda message: print(message, file=sys.stderr),
    )
    socket._FyersDataSocket__url = question["ws"]
    socket.connect()
    enough.wait(30)
    return said


def point_elsewhere(rest_url: str) -> None:
    """The client's addresses stand in its code."""
    defines.INDEX_HSM_MAPPING_API = f"{rest_url}/sym_details/index_hsm_mapping.json"
    begin = data_ws.SymbolConversion.__init__

    def elsewhere(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        self.symbols_token_api = f"{rest_url}/data/symbol-token"

    data_ws.SymbolConversion.__init__ = elsewhere


if __name__ == "__main__":
    logs = tempfile.mkdtemp()
    for line in sys.stdin:
        print(json.dumps(listen(json.loads(line), logs)), flush=True)
    # The client's threads sleep for seconds before they look whether they should end.
    os._exit(0)
