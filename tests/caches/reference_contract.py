"""What every store of reference rows does: one suite, run against each implementation."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

import pytest

from tapewire.caches.keys import MarketDataCacheBounds as Bounds
from tapewire.caches.reference import FellBehind, ReferenceStore, keep_following
from tapewire.model.rows import Reference

DATE, NEXT = "2026-11-19", "2026-11-20"


def row(symbol: str, close: float, date: str = DATE) -> Reference:
    return Reference(symbol, date, prev_day_close=close, avg_volume=1e6)


def closes(rows: object) -> dict[tuple[str, str], float | None]:
    """(date, symbol) -> previous close."""
    assert isinstance(rows, list | tuple)
    return {(row.date, row.symbol): row.prev_day_close for row in rows}


async def until(ready: Callable[[], bool]) -> None:
    """Wait, ten seconds at most."""
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110 - what is waited for is any state
            await asyncio.sleep(0.01)


class ReferenceStoreContract:
    """Subclasses give the fixture ``store``."""

    async def test_a_snapshot_holds_the_newest_row_of_each_symbol_and_date(
        self, store: ReferenceStore
    ) -> None:
        assert closes(await store.snapshot()) == {}
        await store.put(DATE, [])
        await store.put(DATE, [row("AIG", 1.0), row("BAC", 2.0)])
        await store.put(DATE, [row("AIG", 3.0)])
        await store.put(NEXT, [row("AIG", 4.0, NEXT)])
        assert closes(await store.snapshot([DATE, "1999-01-01"])) == {
            (DATE, "AIG"): 3.0,
            (DATE, "BAC"): 2.0,
        }
        assert len(await store.snapshot()) == 3

    async def test_a_whole_market_is_stored_whole(self, store: ReferenceStore) -> None:
        rows = [row(f"S{number}", float(number)) for number in range(5_001)]
        await store.put(DATE, rows)
        assert closes(await store.snapshot()) == closes(rows)

    async def test_a_follower_gets_what_is_put_after_its_position(
        self, store: ReferenceStore
    ) -> None:
        await store.put(DATE, [row("AIG", 1.0)])
        async with aclosing(store.follow(await store.position())) as changes:
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.05)
            await store.put(DATE, [row("BAC", 2.0)])
            assert closes(await asyncio.wait_for(waiting, 5)) == {(DATE, "BAC"): 2.0}
            await store.put(NEXT, [row("IBM", 3.0, NEXT)])
            assert closes(await anext(changes)) == {(NEXT, "IBM"): 3.0}

    async def test_a_follower_left_behind_is_told(self, store: ReferenceStore) -> None:
        await store.put(DATE, [row("AIG", 1.0)])
        position = await store.position()
        for number in range(3 * Bounds.REFERENCE_CHANGES):
            await store.put(DATE, [row("AIG", float(number))])
        async with aclosing(store.follow(position)) as changes:
            with pytest.raises(FellBehind, match="take a new snapshot"):
                await anext(changes)

    async def test_a_reader_that_keeps_following_has_every_row_right(
        self, store: ReferenceStore
    ) -> None:
        held: dict[tuple[str, str], float | None] = {}
        await store.put(DATE, [row("AIG", 1.0)])
        reader = asyncio.create_task(
            keep_following(store, lambda rows: held.update(closes(rows)), retry_s=0.01)
        )
        expected = {(DATE, "AIG"): 2.0, (DATE, "BAC"): 5.0}
        await until(lambda: bool(held))
        await store.put(DATE, [row("AIG", 2.0), row("BAC", 5.0)])
        await until(lambda: held == expected)
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
