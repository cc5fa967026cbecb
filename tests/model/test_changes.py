"""Changes on top of changes: one flush that does what both would have done."""

import pytest

from tapewire.model.changes import (
    BoardChange,
    Changes,
    decode_published,
    encode_published,
    is_outdated,
)
from tapewire.model.events import Gap

LOST = Gap("trades.0", "mdl", 1, 0, 5, 5, 1_000, 2_000, "lost")


def test_later_rows_replace_earlier_ones() -> None:
    changes = Changes(rows={"quote:d": {"AAPL": b"1", "IBM": b"1"}}, private={"days": {"A": b"1"}})
    changes.merge(
        Changes(rows={"quote:d": {"AAPL": b"2"}, "x": {"y": b"3"}}, private={"days": {"B": b"2"}})
    )
    assert changes.rows == {"quote:d": {"AAPL": b"2", "IBM": b"1"}, "x": {"y": b"3"}}
    assert changes.private == {"days": {"A": b"1", "B": b"2"}}


def test_a_row_that_is_removed_later_is_gone_and_one_put_later_is_there() -> None:
    changes = Changes(rows={"quote:d": {"AAPL": b"1"}}, removed={"quote:d": ["IBM"]})
    changes.merge(Changes(rows={"quote:d": {"IBM": b"2"}}, removed={"quote:d": ["AAPL"]}))
    assert changes.rows == {"quote:d": {"IBM": b"2"}}
    assert "AAPL" in changes.removed["quote:d"]


def test_board_changes_of_one_board_add_up() -> None:
    changes = Changes(boards={"top_volume:d": BoardChange({"AAPL": 1.0, "IBM": 2.0}, ["MSFT"])})
    changes.merge(Changes(boards={"top_volume:d": BoardChange({"MSFT": 3.0}, ["AAPL"])}))
    assert changes.boards == {
        "top_volume:d": BoardChange({"IBM": 2.0, "MSFT": 3.0}, ["AAPL"]),
    }


def test_items_and_gaps_keep_their_order() -> None:
    changes = Changes(items={"halts": [b"1"]}, gaps=[LOST])
    changes.merge(Changes(items={"halts": [b"2"]}, gaps=[LOST]))
    assert changes.items == {"halts": [b"1", b"2"]}
    assert changes.gaps == [LOST, LOST]


def test_what_was_merged_is_not_shared() -> None:
    later = Changes(boards={"b": BoardChange({"AAPL": 1.0})}, rows={"r": {"AAPL": b"1"}})
    changes = Changes()
    changes.merge(later)
    changes.merge(Changes(boards={"b": BoardChange({"IBM": 2.0})}, rows={"r": {"IBM": b"2"}}))
    assert later.boards == {"b": BoardChange({"AAPL": 1.0})}
    assert later.rows == {"r": {"AAPL": b"1"}}


def test_empty_changes_are_false() -> None:
    assert not Changes()
    assert Changes(gaps=[LOST])
    assert Changes(private={"days": {"A": b""}})


def test_private_state_is_not_published() -> None:
    changes = Changes(rows={"r": {"f": b"v"}}, gaps=[LOST], private={"days": {"A": b"secret"}})
    packed = encode_published(changes)
    assert b"secret" not in packed
    published = decode_published(packed)
    assert published.rows == {"r": {"f": b"v"}}
    assert published.gaps == [LOST]


def test_a_hash_that_is_dropped_later_is_not_written() -> None:
    changes = Changes(rows={"seconds:US:10": {"A": b"1"}}, private={"minutes": {"A": b"1"}})
    changes.merge(Changes(dropped=["seconds:US:10", "private:minutes"], outdated={"candles": "d"}))
    assert (changes.rows, changes.private) == ({}, {})
    assert changes.dropped == ["seconds:US:10", "private:minutes"]
    assert changes
    assert Changes(outdated={"candles": "d"})


@pytest.mark.parametrize(
    ("name", "outdated"),
    [
        ("candles:US:AIG:1m:2026-11-18.3", True),
        ("candles:US:O:SPY261218C00600000:1d:2026-11-18", True),
        ("candles:US:AIG:1m:2026-11-19.3", False),
        ("quote:2026-11-18", False),
        ("seconds:US:1795185000000", True),
        ("seconds:US:1795185600000", False),
        ("candles", False),
        ("private:days:2026-11-18", True),
        ("private:days:2026-11-19", False),
        ("private:volume_curves:2026-11-18", False),
        ("days:2026-11-18", False),
    ],
)
def test_what_is_outdated_is_decided_by_the_end_of_a_name(name: str, *, outdated: bool) -> None:
    first_kept = {
        "candles": "2026-11-19",
        "seconds": "1795185600000",
        "private:days": "2026-11-19",
    }
    assert is_outdated(name, first_kept) is outdated
