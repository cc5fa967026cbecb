"""What every Widget Data Cache does: one suite, run against each implementation."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
import pytest

from tapewire.caches.cache import (
    Fenced,
    Followed,
    Items,
    Place,
    StoreLostWrites,
    WidgetCache,
)
from tapewire.caches.keys import WidgetDataCacheBounds as Bounds
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.events import Gap
from tapewire.model.feeds import MAX_ITEMS, max_items

SHARD = "trades.0"
DAY_MS = 86_400_000
QUOTES, BOARD = "quote:2026-11-20", "top_volume:2026-11-20"


class Clock:
    """A wall clock that only the test moves."""

    def __init__(self, now_ms: int = 1_795_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def quotes(**prices: float) -> Changes:
    """A flush of quote rows, one number each."""
    return Changes(rows={QUOTES: {s: msgspec.msgpack.encode(p) for s, p in prices.items()}})


def gap(offset: int, events: int | None = 5) -> Gap:
    return Gap(SHARD, "mdl-1", 7, offset, offset + 5, events, 1_000, 2_000, "lost")


async def take(stream: AsyncGenerator[Sequence[Followed], None], count: int) -> list[Followed]:
    """The next entries of a follower, at least ``count`` of them, within five seconds."""
    found: list[Followed] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            found += await anext(stream)
    return found


async def flush_times(cache: WidgetCache, at: Place, times: int) -> Place:
    for number in range(times):
        at = await cache.flush(SHARD, at, {}, quotes(AIG=float(number)))
    return at


class WidgetCacheContract:
    """Subclasses give the fixtures ``cache``, ``clock`` and the hooks below."""

    async def lose(self, cache: WidgetCache) -> None:
        """Forget everything, as a server that restarts without its data."""
        raise NotImplementedError

    async def put_back(self, cache: WidgetCache, place: Place) -> None:
        """Set the stored place back, as a server that restarts with an old snapshot."""
        raise NotImplementedError

    async def stored_items(self, cache: WidgetCache, name: str) -> list[tuple[int, object]]:
        """(sequence, item) of an event feed's list."""
        raise NotImplementedError

    async def test_a_claim_starts_at_the_wall_clock_and_restores_positions(
        self, cache: WidgetCache, clock: Clock
    ) -> None:
        first = await cache.claim(SHARD)
        assert first.place == Place(clock.now_ms, 0)
        assert first.positions == {}
        await cache.flush(SHARD, first.place, {"mdl-1": b"\x93\x01\x02\x00"}, Changes())
        clock.now_ms += 1
        second = await cache.claim(SHARD)
        assert second.place == Place(clock.now_ms, 0)
        assert second.positions == {"mdl-1": b"\x93\x01\x02\x00"}

    async def test_owners_grow_when_the_clock_goes_backwards(
        self, cache: WidgetCache, clock: Clock
    ) -> None:
        first = (await cache.claim(SHARD)).place
        clock.now_ms -= DAY_MS
        second = (await cache.claim(SHARD)).place
        assert second == Place(first.owner + 1, 0)

    async def test_a_flush_writes_every_kind_of_change(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        changes = quotes(AIG=49.5, BAC=13.9)
        changes.boards[BOARD] = BoardChange({"AIG": 3.5, "BAC": 7})
        changes.private["days"] = {"AIG": b"\x01"}
        changes.gaps.append(gap(10))
        assert await cache.flush(SHARD, place, {"mdl-1": b"\x90"}, changes) == place.next
        snapshot = await cache.snapshot(SHARD, {QUOTES: None, "private:days": None}, [BOARD])
        assert snapshot.place == place.next
        assert snapshot.rows == {**changes.rows, "private:days": {"AIG": b"\x01"}}
        assert snapshot.boards == {BOARD: {"AIG": 3.5, "BAC": 7.0}}
        assert await cache.gaps(SHARD) == [gap(10)]
        assert await cache.shards() == [SHARD]
        assert await cache.names(SHARD) == ["private:days", QUOTES, BOARD]

    async def test_many_rows_of_many_sizes_survive(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        rows = {f"S{number}": bytes([number % 251]) * (number % 400) for number in range(9_000)}
        rows["large"] = b"x" * 70_000
        rows["a" * 300] = b"a long field"
        await cache.flush(SHARD, place, {}, Changes(rows={QUOTES: rows, "candles:é": {"1": b""}}))
        found = await cache.fetch(SHARD, {QUOTES: None, "candles:é": None})
        assert found == {QUOTES: rows, "candles:é": {"1": b""}}

    async def test_private_values_of_every_size_survive(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        private = {
            "journal": {"#0": bytes(range(256)) * 400, "AIG": b"\x01"},
            "many": {f"S{k}": b"x" * 500 for k in range(40)},
            "small": {"#1": b"\x02"},
        }
        await cache.flush(SHARD, place, {}, Changes(private=private))
        found = await cache.fetch(SHARD, dict.fromkeys(f"private:{name}" for name in private))
        assert found == {f"private:{name}": fields for name, fields in private.items()}

    async def test_scores_keep_every_digit(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        scores = {
            "a": 0.1 + 0.2,
            "b": -1 / 3,
            "c": 9_007_199_254_740_991,
            "d": 0,
            "e": -5,
            "f": 300,
        }
        await cache.flush(SHARD, place, {}, Changes(boards={BOARD: BoardChange(scores)}))
        assert (await cache.snapshot(SHARD, {}, [BOARD])).boards == {BOARD: scores}

    async def test_removed_rows_and_members_are_gone(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        first = quotes(AIG=1, BAC=2, IBM=3)
        first.boards[BOARD] = BoardChange({"AIG": 1, "BAC": 2})
        place = await cache.flush(SHARD, place, {}, first)
        second = Changes(
            removed={QUOTES: ["AIG", "BAC", "none"]},
            boards={BOARD: BoardChange({"BAC": 5}, ["AIG", "BAC"])},
        )
        second.rows = quotes(BAC=9).rows
        await cache.flush(SHARD, place, {}, second)
        snapshot = await cache.snapshot(SHARD, {QUOTES: None}, [BOARD])
        assert snapshot.rows == quotes(BAC=9, IBM=3).rows
        assert snapshot.boards == {BOARD: {"BAC": 5.0}}

    async def test_hashes_whose_time_is_over_are_dropped_and_not_published(
        self, cache: WidgetCache
    ) -> None:
        place = (await cache.claim(SHARD)).place
        names = ["candles:US:AIG:1m:2026-11-18.3", "candles:US:AIG:1d:2026-11-19", "seconds:US:10"]
        first = Changes(rows={name: {"1": b"x"} for name in (*names, QUOTES)})
        first.private = {"buckets:1m:5": {"AIG": b"x"}, "days": {"AIG": b"x"}}
        first.private["days:2026-11-18"] = {"AIG": b"x"}
        first.boards[f"{BOARD.partition(':')[0]}:2026-11-18"] = BoardChange({"AIG": 1.0})
        place = await cache.flush(SHARD, place, {}, first)
        second = Changes(dropped=["seconds:US:10", "private:buckets:1m:5"])
        second.rows["seconds:US:10"] = {"1": b"y"}
        second.outdated = dict.fromkeys(("candles", "private:days"), "2026-11-19")
        second.outdated[BOARD.partition(":")[0]] = "2026-11-19"
        async with aclosing(cache.follow({SHARD: place})) as stream:
            await cache.flush(SHARD, place, {}, second)
            [told] = await take(stream, 1)
        assert (told.changes.rows, told.changes.removed) == ({}, {})
        kept = ["candles:US:AIG:1d:2026-11-19", "private:days", QUOTES]
        assert await cache.names(SHARD) == sorted(kept)
        found = await cache.fetch(SHARD, dict.fromkeys([*names, "private:buckets:1m:5"]))
        assert {name for name, rows in found.items() if rows} == {names[1]}

    async def test_fetch_takes_whole_hashes_or_fields_and_leaves_out_the_absent(
        self, cache: WidgetCache
    ) -> None:
        place = (await cache.claim(SHARD)).place
        await cache.flush(SHARD, place, {}, quotes(AIG=1, BAC=2))
        assert await cache.fetch(SHARD, {}) == {}
        found = await cache.fetch(SHARD, {QUOTES: ["BAC", "XXX"], "absent": None, "none": []})
        assert found == {QUOTES: quotes(BAC=2).rows[QUOTES], "absent": {}, "none": {}}

    async def test_the_same_flush_again_is_done_once(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        changes = Changes(items={"halts": [b"\x01"]}, gaps=[gap(1)])
        following = await cache.flush(SHARD, place, {}, changes)
        assert await cache.flush(SHARD, place, {}, changes) == following
        assert await self.stored_items(cache, "halts") == [(1, 1)]
        assert await cache.gaps(SHARD) == [gap(1)]

    async def test_an_old_owner_is_fenced_and_writes_nothing(self, cache: WidgetCache) -> None:
        old = await cache.flush(SHARD, (await cache.claim(SHARD)).place, {}, quotes(AIG=1))
        new = (await cache.claim(SHARD)).place
        with pytest.raises(Fenced, match=f"we are at {old}, the store at {new}"):
            await cache.flush(SHARD, old, {"mdl-1": b"old"}, quotes(AIG=2))
        await cache.flush(SHARD, new, {}, quotes(BAC=3))
        with pytest.raises(Fenced):
            await cache.flush(SHARD, old, {"mdl-1": b"old"}, quotes(AIG=2))
        snapshot = await cache.snapshot(SHARD, {QUOTES: None, "positions": None})
        assert snapshot.place == new.next
        assert snapshot.rows[QUOTES] == quotes(AIG=1, BAC=3).rows[QUOTES]
        assert (await cache.claim(SHARD)).positions == {}

    async def test_a_store_without_its_data_is_told_from_a_newer_owner(
        self, cache: WidgetCache
    ) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 3)
        await self.lose(cache)
        with pytest.raises(StoreLostWrites, match="the store at nothing"):
            await cache.flush(SHARD, place, {}, quotes(AIG=2))
        assert (await cache.snapshot(SHARD, {QUOTES: None})).rows == {QUOTES: {}}

    async def test_a_store_set_back_is_told_from_a_newer_owner(self, cache: WidgetCache) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 3)
        await self.put_back(cache, Place(place.owner, 1))
        with pytest.raises(StoreLostWrites):
            await cache.flush(SHARD, place, {}, quotes(AIG=2))
        await self.put_back(cache, Place(place.owner - 5, 9))
        with pytest.raises(StoreLostWrites):
            await cache.flush(SHARD, place, {}, quotes(AIG=2))

    async def test_a_claim_passes_the_stream_when_the_place_was_set_back(
        self, cache: WidgetCache, clock: Clock
    ) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 2)
        await self.put_back(cache, Place(5, 0))
        clock.now_ms -= DAY_MS
        again = (await cache.claim(SHARD)).place
        assert again == Place(place.owner + 1, 0)
        assert await cache.flush(SHARD, again, {}, quotes(AIG=1)) == again.next

    async def test_items_are_numbered_per_feed_and_bounded(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        items = [msgspec.msgpack.encode(number) for number in range(MAX_ITEMS)]
        place = await cache.flush(SHARD, place, {}, Changes(items={"halts": items}))
        place = await cache.flush(
            SHARD, place, {}, Changes(items={"halts": [b"\x07", b"\x08"], "other": [b"\x01"]})
        )
        kept = await self.stored_items(cache, "halts")
        assert len(kept) == MAX_ITEMS
        assert kept[0] == (3, 2)
        assert kept[-2:] == [(MAX_ITEMS + 1, 7), (MAX_ITEMS + 2, 8)]
        assert await self.stored_items(cache, "other") == [(1, 1)]

    async def test_a_feed_is_bounded_by_its_line_in_the_table(self, cache: WidgetCache) -> None:
        bound = max_items("trades:AAPL")
        place = (await cache.claim(SHARD)).place
        items = [msgspec.msgpack.encode(number) for number in range(bound + 5)]
        await cache.flush(SHARD, place, {}, Changes(items={"trades:AAPL": items, "halts": items}))
        kept = await self.stored_items(cache, "trades:AAPL")
        assert (len(kept), kept[0]) == (bound, (6, 5))
        assert len(await self.stored_items(cache, "halts")) == bound + 5

    async def test_gaps_are_bounded(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        gaps = [gap(number) for number in range(Bounds.GAPS)]
        place = await cache.flush(SHARD, place, {}, Changes(gaps=gaps))
        await cache.flush(SHARD, place, {}, Changes(gaps=[gap(-1, None)]))
        kept = await cache.gaps(SHARD)
        assert (len(kept), kept[0], kept[-1]) == (Bounds.GAPS, gap(1), gap(-1, None))

    @pytest.mark.parametrize("name", ["place", "positions", "changes", "gaps", "names"])
    async def test_a_name_of_the_caches_own_is_refused(self, cache: WidgetCache, name: str) -> None:
        place = (await cache.claim(SHARD)).place
        with pytest.raises(ValueError, match=name):
            await cache.flush(SHARD, place, {}, Changes(rows={name: {"a": b"1"}}))

    async def test_a_follower_sees_every_flush_after_its_snapshot(self, cache: WidgetCache) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 2)
        at = (await cache.snapshot(SHARD, {})).place
        assert at == place
        async with aclosing(cache.follow({SHARD: at})) as stream:
            changes = quotes(AIG=5)
            changes.private["days"] = {"AIG": b"secret"}
            changes.gaps.append(gap(3, None))
            changes.boards[BOARD] = BoardChange({"AIG": 1.5}, ["BAC"])
            waiting = asyncio.create_task(take(stream, 2))
            await asyncio.sleep(0.05)
            await flush_times(cache, await cache.flush(SHARD, place, {}, changes), 1)
            first, second = await waiting
        assert (first.shard, first.place, second.place) == (SHARD, place.next, place.next.next)
        assert first.changes.rows == changes.rows
        assert first.changes.boards == changes.boards
        assert first.changes.gaps == changes.gaps

    async def test_a_follower_of_many_shards_starts_before_the_first_flush(
        self, cache: WidgetCache
    ) -> None:
        places = {name: (await cache.claim(name)).place for name in ("trades.0", "trades.1")}
        async with aclosing(cache.follow(places)) as stream:
            for name, place in places.items():
                await cache.flush(name, place, {}, quotes(AIG=1))
            entries = await take(stream, 2)
        assert {entry.shard: entry.place for entry in entries} == {
            name: place.next for name, place in places.items()
        }

    async def test_a_follower_goes_on_with_a_new_owner(self, cache: WidgetCache) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        new = (await cache.claim(SHARD)).place
        await flush_times(cache, new, 2)
        async with aclosing(cache.follow({SHARD: place})) as stream:
            entries = await take(stream, 2)
        assert [entry.place for entry in entries] == [new.next, new.next.next]

    async def test_a_follower_left_behind_by_the_stream_is_told(self, cache: WidgetCache) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        await self.flush_beyond_the_stream(cache, place)
        async with aclosing(cache.follow({SHARD: place})) as stream:
            with pytest.raises(StoreLostWrites, match="take a new snapshot"):
                await take(stream, 1)

    async def flush_beyond_the_stream(self, cache: WidgetCache, place: Place) -> None:
        await flush_times(cache, place, 3 * Bounds.CHANGES)

    async def test_a_follower_of_an_owner_who_flushed_unseen_is_told(
        self, cache: WidgetCache
    ) -> None:
        behind = (await cache.claim(SHARD)).place
        await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        await flush_times(cache, (await cache.claim(SHARD)).place, 1)
        async with aclosing(cache.follow({SHARD: behind})) as stream:
            with pytest.raises(StoreLostWrites):
                await take(stream, 1)

    async def test_a_waiting_follower_notices_a_store_without_its_data(
        self, cache: WidgetCache
    ) -> None:
        place = await flush_times(cache, (await cache.claim(SHARD)).place, 2)
        await self.lose(cache)
        async with aclosing(cache.follow({SHARD: place})) as stream:
            with pytest.raises(StoreLostWrites, match="found the place at nothing"):
                await take(stream, 1)

    async def test_following_nothing_is_a_mistake(self, cache: WidgetCache) -> None:
        with pytest.raises(ValueError, match="at least one shard"):
            await anext(cache.follow({}))

    async def test_items_are_read_newest_last_with_their_numbers(self, cache: WidgetCache) -> None:
        place = (await cache.claim(SHARD)).place
        for number in range(3):
            packed = [msgspec.msgpack.encode(("AIG", number))] * (number + 1)
            place = await cache.flush(SHARD, place, {}, Changes(items={"halts": packed}))
        every = await cache.items(SHARD, "halts")
        assert [item.sequence for item in every] == [1, 2, 3, 4, 5, 6]
        assert [msgspec.msgpack.decode(item.packed)[1] for item in every] == [0, 1, 1, 2, 2, 2]
        assert await cache.items(SHARD, "halts", 2) == every[-2:]
        assert await cache.items(SHARD, "nothing") == []
        snapshot = await cache.snapshot(SHARD, {}, (), ["halts", "nothing"])
        assert snapshot.place == place
        assert snapshot.items == {"halts": Items(6, every), "nothing": Items(0, [])}
