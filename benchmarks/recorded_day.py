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
    days = {symbol: recorded.trades(recording.lean, symbol, DATE) for symbol in recorded.SYMBOLS}
    end_ms = recorded.end_ms(days.values())
    for symbol, trades in days.items():
        judged = recorded.massive_rule(trades)
        rows = recorded.candles(judged, DATE, "1m")
        marks = {"closed": True, "revision": 0, "gap": False}
        answers.candles[DATE, symbol] = {row["start_ms"]: row | marks for row in rows}
        quote = recorded.quote_at(judged, symbol, DATE, None, end_ms)
        assert quote is not None, f"{symbol} did not trade"
        answers.quotes[symbol] = quote
        answers.events += len(trades)
    return answers
