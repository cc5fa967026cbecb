"""When a key's TTL is due, and how many names are remembered for that."""

from tapewire.caches.lives import MAX_REMEMBERED, Lives
from tapewire.model.changes import Changes


def rows(*names: str) -> Changes:
    return Changes(rows={name: {"1": b"x"} for name in names})


def flushed(lives: Lives, changes: Changes) -> set[str]:
    """Flush; which of the rows' names had to get a TTL."""
    due = lives.due(changes)
    lives.refreshed(due, changes)
    return due.keys() & changes.rows.keys()


def test_a_name_is_due_when_it_is_first_touched_and_again_after_an_hour() -> None:
    now_ms = 0
    lives = Lives(lambda: now_ms)
    assert flushed(lives, rows("quote:2026-11-20")) == {"quote:2026-11-20"}
    now_ms = 3_599_999
    assert flushed(lives, rows("quote:2026-11-20")) == set()
    now_ms = 3_600_000
    assert flushed(lives, rows("quote:2026-11-20")) == {"quote:2026-11-20"}


def test_what_is_outdated_is_not_remembered() -> None:
    lives = Lives(lambda: 0)
    changes = rows("quote:2026-11-19", "quote:2026-11-20")
    flushed(lives, changes)
    flushed(lives, Changes(outdated={"quote": "2026-11-20"}))
    assert flushed(lives, changes) == {"quote:2026-11-19"}


def test_of_too_many_names_the_older_half_is_asked_for_again() -> None:
    lives = Lives(lambda: 0)
    names = [f"candles:US:S{k}:1d:2026-11-20" for k in range(MAX_REMEMBERED)]
    flushed(lives, rows(*names))
    flushed(lives, rows("quote:2026-11-20"))
    again = flushed(lives, rows(*names))
    assert MAX_REMEMBERED // 2 - 10 < len(again) < MAX_REMEMBERED // 2 + 10
