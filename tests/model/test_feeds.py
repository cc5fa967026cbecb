"""The feed table is the one place of names and lifetimes."""

from tapewire.model.feeds import (
    BOARDS,
    DAY_S,
    FEEDS,
    PRIVATE_TTL_S,
    WINDOWS_TTL_S,
    Kind,
    board_set,
    quote_hash,
    ttl_s,
)


def test_every_feed_is_found_by_its_familys_name() -> None:
    for feed in FEEDS:
        assert ttl_s(f"{feed.family}:2026-11-20") == feed.ttl_s


def test_names_of_hashes_and_boards() -> None:
    assert quote_hash("2026-11-20") == "quote:2026-11-20"
    assert board_set("top_volume", "2026-11-20") == "top_volume:2026-11-20"


def test_every_board_has_a_feed() -> None:
    families = {feed.family for feed in FEEDS if feed.kind is Kind.BOARD}
    assert families == set(BOARDS)


def test_how_long_things_live() -> None:
    assert ttl_s("quote:2026-11-20") == 4 * DAY_S
    assert ttl_s("private:days:2026-11-20") == PRIVATE_TTL_S
    assert ttl_s("private:windows:1795208400000") == WINDOWS_TTL_S
