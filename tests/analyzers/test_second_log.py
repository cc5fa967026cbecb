"""The log of the current second: later parts count, the hash ends with its second."""

from tapewire.analyzers.second_log import SecondLog
from tapewire.model.changes import Changes

SECOND = 1_795_185_000_000


def written(log: SecondLog[list], second_ms: int, *entries: list) -> Changes:  # type: ignore[type-arg]
    changes = Changes()
    log.write(changes, second_ms, list(entries))
    return changes


def test_entries_come_back_oldest_first_and_the_log_goes_on() -> None:
    log, stored = SecondLog("trades", list), dict[str, bytes]()
    for entry in (["AIG", 1], ["IBM", 2], ["AIG", 3]):
        stored |= written(log, SECOND, entry).private[log.hash(SECOND)]
    other = SecondLog("trades", list)
    assert other.restore(stored) == [["AIG", 1], ["IBM", 2], ["AIG", 3]]
    stored |= written(other, SECOND, ["AIG", 4]).private[other.hash(SECOND)]
    assert SecondLog("trades", list).restore(stored)[-1] == ["AIG", 4]  # type: ignore[index]


def test_nothing_new_writes_nothing() -> None:
    assert not written(SecondLog("trades", list), SECOND)


def test_a_second_that_has_ended_is_dropped_once() -> None:
    log = SecondLog("trades", list)
    written(log, SECOND, ["AIG", 1])
    log.end(SECOND)
    log.end(SECOND + 1000)
    assert written(log, SECOND + 1000).dropped == [f"private:{log.hash(SECOND)}"]
    assert not written(log, SECOND + 1000)


def test_a_long_second_takes_no_more_room() -> None:
    log, stored = SecondLog("trades", list), dict[str, bytes]()
    for number in range(3 * SecondLog.PARTS + 2):
        entries = [["ALL", number]] if log.wants_all else [["AIG", number]]
        stored |= written(log, SECOND, *entries).private[log.hash(SECOND)]
    assert len(stored) == SecondLog.PARTS
    found = list(SecondLog("trades", list).restore(stored))
    assert found[-2:] == [["ALL", 3 * SecondLog.PARTS], ["AIG", 3 * SecondLog.PARTS + 1]]
