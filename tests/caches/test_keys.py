"""The key and TTL classes are views of the feed table, and the page on Redis says the same."""

import re
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from tapewire import caches
from tapewire.caches.keys import WidgetDataCacheKeys, WidgetDataCacheTTL
from tapewire.caches.kinds import KINDS
from tapewire.caches.known import Entry, Trouble
from tapewire.caches.reference import Loaded
from tapewire.market.corrections import Correction
from tapewire.model.changes import BoardChange, Published
from tapewire.model.events import Gap
from tapewire.model.feeds import DAY_S, FEEDS
from tapewire.model.packed_candles import PackedCandle, PackedSecond
from tapewire.model.positions import Position
from tapewire.model.rows import (
    BestQuote,
    DailyRange,
    HaltEvent,
    HaltState,
    LargestPrint,
    QuoteRecord,
    RangeAlert,
    RawEvent,
    Reference,
    Sale,
    TopTrade,
)
from tests.caches.redis_page import PAGE, scripts, table

STRUCTS: Final[dict[str, type[Struct]]] = {
    struct.__name__: struct
    for struct in (
        *(
            QuoteRecord,
            PackedCandle,
            PackedSecond,
            DailyRange,
            RangeAlert,
            HaltState,
            HaltEvent,
            RawEvent,
            Reference,
        ),
        *(Loaded, Correction, Entry, Trouble),
        *(BestQuote, TopTrade, LargestPrint, Sale, Position, Published, BoardChange, Gap),
    )
}


def test_a_shards_keys_carry_its_tag() -> None:
    keys = WidgetDataCacheKeys("trades.0")
    assert keys.place == "{trades.0}:place"
    assert keys.of("quote:2026-11-20") == "{trades.0}:quote:2026-11-20"
    assert keys.private("days") == "{trades.0}:private:days"
    assert {keys.of(name) for name in keys.RESERVED} == {
        *(keys.place, keys.positions, keys.changes, keys.gaps, keys.names, keys.sequences)
    }


@pytest.mark.parametrize("feed", FEEDS)
def test_every_feed_has_its_ttl(feed: object) -> None:
    assert isinstance(feed, Struct)
    assert WidgetDataCacheTTL.of(f"{feed.family}:2026-11-20") == feed.ttl_s  # type: ignore[attr-defined]


def test_private_and_fixed_keys_have_a_ttl() -> None:
    assert WidgetDataCacheTTL.of("private:days") == 4 * DAY_S
    assert WidgetDataCacheTTL.of("private:windows:1381152600000") == 7_200
    assert WidgetDataCacheTTL.of("private:volume_curves:2026-11-20") == 45 * DAY_S
    assert WidgetDataCacheTTL.of("place") == 4 * DAY_S
    assert WidgetDataCacheTTL.of("names") >= max(feed.ttl_s for feed in FEEDS)


def test_no_feed_takes_a_name_of_the_caches_own() -> None:
    assert not WidgetDataCacheKeys.RESERVED & {feed.family for feed in FEEDS}
    assert WidgetDataCacheKeys.PRIVATE.rstrip(":") not in {feed.family for feed in FEEDS}


def test_the_page_lists_every_rows_fields_in_order() -> None:
    rows = {name: re.findall(r"`(\w+)`", fields) for name, fields in table("Rows")}
    assert rows == {name: list(struct.__struct_fields__) for name, struct in STRUCTS.items()}


def test_gap_is_the_only_row_that_is_a_map() -> None:
    arrays = {name for name, struct in STRUCTS.items() if struct.__struct_config__.array_like}
    assert arrays == STRUCTS.keys() - {"Gap"}


def test_the_page_lists_every_script() -> None:
    folder = Path(str(caches.__file__)).parent / "lua"
    assert sorted(scripts()) == sorted(path.name for path in folder.glob("*.lua"))


def test_the_page_names_the_bounds() -> None:
    page = PAGE.read_text()
    for bound in ("about the last 50", "the last 10,000", "about the last 200", "at most 100"):
        assert bound in page


def test_the_page_has_the_table_of_kinds() -> None:
    rows = {name.strip("`"): cells for name, *cells in table("Reference data")}
    assert rows == {
        kind.name: [
            f"`{kind.argument}`" if kind.argument else "the market",
            *map(_span, (kind.fresh_s, kind.negative_s, kind.stale_s)),
            f"`{kind.whole_market}`" if kind.whole_market in KINDS else kind.whole_market or "–",
        ]
        for kind in KINDS.values()
    }


def _span(seconds: int) -> str:
    units = (("day", 86_400), ("hour", 3_600), ("min", 60), ("s", 1))
    name, unit_s = next(unit for unit in units if seconds % unit[1] == 0)
    plural = "s" if seconds > unit_s and name in ("day", "hour") else ""
    return f"{seconds // unit_s} {name}{plural}"
