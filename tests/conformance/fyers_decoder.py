"""Fyers' own client as a decoder, in an environment of its own: a connection a line.

In: ``{"topics": {topic: ticker}, "lite": bool, "frames": [hex, ...]}``. Out: for each frame the
messages that the client gives to its user. What it logs as an exception ends the run.
"""

import json
import sys
import tempfile
from typing import Any

from fyers_apiv3.FyersWebsocket.data_ws import FyersDataSocket  # type: ignore[import-not-found]


def fail(error: object, *_: object, **__: object) -> None:
    """Take the place of the client's log, in which its errors would be lost."""
    raise SystemExit(f"the client failed: {error!r}")


def decode(question: dict[str, Any], folder: str) -> list[list[dict[str, Any]]]:
    """What the client says of each frame of one connection."""
    said: list[dict[str, Any]] = []
    socket = FyersDataSocket("", log_path=folder, litemode=question["lite"], on_message=said.append)
    socket.data_logger.exception = fail
    socket.symbol_token = question["topics"]
    answers = []
    for frame in question["frames"]:
        said.clear()
        socket._FyersDataSocket__response_msg(bytes.fromhex(frame))
        answers.append(list(said))
    return answers


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as logs:
        for line in sys.stdin:
            print(json.dumps(decode(json.loads(line), logs)))
