"""What a whole day must come to: by the tests' Polars oracle where it is a LEAN day.

Frames from a file are folded by the benchmarks' own oracle instead.
"""

import json

from benchmarks.frames import DATE, Recording, is_trade
from benchmarks.oracle import Answers, of_trades
from tests.oracles import recorded


def expected(recording: Recording) -> Answers:
    """Every candle and quote record of the recording."""
    if recording.lean is None:
        events = [json.loads(text) for text in recording.events()]
        answers = of_trades(event for event in events if is_trade(event))
        answers.events = sum(isinstance(one, dict) and one.get("ev") == "T" for one in events)
        return answers
    answers = Answers(0, DATE, {}, {})
    for symbol in recorded.SYMBOLS:
        trades = recorded.trades(recording.lean, symbol, DATE)
        judged = recorded.massive_rule(trades)
        rows = recorded.minute_candles(judged, DATE)
        marks = {"closed": True, "revision": 0, "gap": False}
        answers.candles[DATE, symbol] = {row["start_ms"]: row | marks for row in rows}
        answers.quotes[symbol] = recorded.last_quote(judged, symbol, DATE, None)
        answers.events += len(trades)
    return answers
