"""A whole recorded day the whole way, over memory and over RabbitMQ, against other people's sums.

Four symbols, 388,417 trades of 7 October 2013, through ``tapewire replay``: the provider's
frames over a real socket, listener, queue, processor, Redis. What comes out is compared with
a recomputation that shares no code with the package.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import recorded as oracle
from tests.oracles.recorded import DailyBar
from tests.replays import SYMBOLS, Day, Replays, Stored, environment, tapewire
from tests.servers import RabbitServer

MONDAY, TUESDAY = "2013-10-07", "2013-10-08"
RECORDED_EVENTS = 388_417
QUEUES = ("memory", "rabbitmq")

Row = dict[str, Any]


@pytest.fixture(scope="module", params=QUEUES)
def monday(replays: Replays, request: pytest.FixtureRequest) -> Day:
    """The first day, over each queue."""
    return replays.of(MONDAY, "--queue", request.param)


def trades_of(shared: Path, date: str) -> Iterator[tuple[str, Any]]:
    """Each symbol's recorded trades, with what each updates under Massive's rule."""
    for symbol in SYMBOLS:
        yield symbol, oracle.massive_rule(oracle.trades(shared / "data", symbol, date))


def expected_quotes(shared: Path, date: str, before: str | None = None) -> list[Row]:
    """Every symbol's last quote record, measured against the day before where there is one."""
    previous = {s: DailyBar.of(trades) for s, trades in trades_of(shared, before)} if before else {}
    frames = dict(trades_of(shared, date))
    end_ms = oracle.end_ms(frames.values())
    quotes = [
        oracle.quote_at(trades, symbol, date, previous.get(symbol), end_ms)
        for symbol, trades in frames.items()
    ]
    return [quote for quote in quotes if quote]


def test_every_candle_of_the_day_is_exact(monday: Day, shared: Path) -> None:
    expected = oracle.all_candle_rows({MONDAY: dict(trades_of(shared, MONDAY))})
    assert monday.stored.rows("candles") == expected
    made = {(one["symbol"], one["interval"]) for one in expected}
    longer = [interval for interval in oracle.INTERVALS if interval != "1s"]
    assert made >= {(symbol, interval) for symbol in SYMBOLS for interval in longer}
    assert "1s" in {interval for _, interval in made}
    minutes = [candle for candle in expected if candle["interval"] == "1m"]
    assert monday.result["candles"] == len(minutes)


def test_every_event_is_counted_and_none_is_lost(monday: Day, shared: Path, recorded: bool) -> None:
    taken_in = sum(len(trades) for _, trades in trades_of(shared, MONDAY))
    if recorded:
        assert taken_in == RECORDED_EVENTS
    result = monday.result
    assert result["events"] == {"trades": taken_in}
    assert (result["gaps"], result["dropped"], result["skipped"]) == ([], {}, {})
    (progress,) = monday.stored.progress("trades.0")
    assert (progress.applied, progress.totals.lost) == (taken_in, 0)
    assert progress.totals.events == taken_in
    assert result["batches"] == {"trades": progress.totals.batches}


def test_the_last_quote_records_are_exact(monday: Day, shared: Path) -> None:
    assert monday.stored.rows("quote") == expected_quotes(shared, MONDAY)


@pytest.mark.parametrize("board", sorted(oracle.SCORES))
def test_the_boards_rank_the_days_last_state(monday: Day, shared: Path, board: str) -> None:
    expected = oracle.board(board, expected_quotes(shared, MONDAY))
    assert monday.stored.board(board) == expected
    assert bool(expected) is (board != "top_gappers")  # the first day has no previous close


def test_memory_and_rabbitmq_give_the_same_dump(replays: Replays) -> None:
    over_memory, over_rabbitmq = (replays.of(MONDAY, "--queue", queue) for queue in QUEUES)
    assert over_memory.stored.dump == over_rabbitmq.stored.dump


def test_a_replay_deletes_its_own_queues(
    replays: Replays, rabbitmq_server: RabbitServer, replay_vhost: str
) -> None:
    replays.of(MONDAY, "--queue", "rabbitmq")
    assert rabbitmq_server.queue_info(replay_vhost) == {}


def test_the_next_day_is_measured_against_the_day_before(replays: Replays, shared: Path) -> None:
    tuesday = replays.of(TUESDAY, "--conditions", "regular")
    expected = expected_quotes(shared, TUESDAY, before=MONDAY)
    # Candles follow the rule asked for, quote records and boards always the provider's.
    assert tuesday.stored.rows("quote") == expected
    for board in oracle.SCORES:
        assert tuesday.stored.board(board) == oracle.board(board, expected)
    assert {line["symbol"] for line in tuesday.stored.board("top_gappers")} == set(SYMBOLS)


def test_two_days_with_their_quotes_replay_as_one(shared: Path, redis_url: str) -> None:
    """A folder of a symbol's recorded files: trades and quotes, day after day."""
    env = environment(WDC_REDIS_URL=redis_url)
    folder = shared / "data" / "lean" / "tick" / "ibm"
    result = tapewire("replay", f"lean:{folder}", "--json", env=env).result
    stored = Stored(redis_url)
    days = {
        date: oracle.massive_rule(oracle.trades(shared / "data", "IBM", date))
        for date in (MONDAY, TUESDAY)
    }
    assert result["events"]["trades"] == sum(map(len, days.values()))
    assert result["events"]["quotes"] > 1_000
    frames = {date: {"IBM": trades} for date, trades in days.items()}
    assert stored.rows("candles") == oracle.all_candle_rows(frames)
    told, quoted_ms = oracle.best_quote(shared / "data", "IBM", TUESDAY)
    cut_ms = max(oracle.end_ms([days[TUESDAY]]), (quoted_ms // 1000 + 1) * 1000)
    before = DailyBar.of(days[MONDAY])
    last = oracle.quote_at(days[TUESDAY], "IBM", TUESDAY, before, cut_ms)
    assert last is not None
    last |= told
    assert stored.rows("quote") == [last]
    for board in oracle.SCORES:
        assert stored.board(board) == oracle.board(board, [last])
