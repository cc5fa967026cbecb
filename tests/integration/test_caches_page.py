"""``docs/redis.md`` says of every key what a live server says of it."""

import time
from collections.abc import AsyncIterator, Sequence

import pytest

from tapewire.caches.connection import Link
from tapewire.caches.corrections import CorrectionStore
from tapewire.caches.interest import RedisInterest
from tapewire.caches.keys import MarketDataCacheTTL as Ttl
from tapewire.caches.kinds import KINDS
from tapewire.caches.known import Entry, Trouble
from tapewire.caches.lease import RedisLease
from tapewire.caches.provider_limits import ProviderLimits, account_of
from tapewire.caches.reference import Loaded, ReferenceCache
from tapewire.caches.registry import RedisRegistry
from tapewire.caches.replay_mark import erase_and_mark
from tapewire.caches.shelf import Shelf
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.market.corrections import Correction
from tapewire.model.candle_names import candle_hash, seconds_hash
from tapewire.model.changes import BoardChange, Changes
from tapewire.model.events import Tick
from tapewire.model.feeds import (
    BOARDS,
    best_quote_hash,
    board_set,
    halt_hash,
    prints_hash,
    range_hash,
    top_trades_hash,
)
from tapewire.model.rows import Candle
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.runtime.registry import RegistryError, Reply
from tapewire.services.compat_keys import write_keys
from tapewire.sinks.compat_keys import CompatKeys
from tapewire.sinks.raw_ticks import RawTicks
from tests.caches.redis_page import KeyRow, key_rows
from tests.caches.reference_contract import DATE, row
from tests.caches.registry_contract import report
from tests.caches.rows import MONDAY, MONDAY_MS, day_of

TYPES = {"zset": "sorted set"}


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    link = Link(redis_url)
    yield link
    await link.close()


async def fill_wdc(url: str) -> None:
    await erase_and_mark(url, "lean:aig")
    cache = RedisWidgetCache(url)
    changes = day_of("AIG", MONDAY, MONDAY_MS, 50.0)
    changes.boards = {board_set(name, MONDAY): BoardChange({"AIG": 1.0}) for name in BOARDS}
    changes.rows |= {candle_hash("US", "AIG", "5m", MONDAY, MONDAY_MS): {"810": b"1"}}
    changes.rows |= {seconds_hash("US", MONDAY_MS): {"AIG": b"1"}}
    changes.private["windows:1381152600000"] = {"1381152600": b"1"}
    changes.private[f"volume_curves:{MONDAY}"] = {"AIG": b"1"}
    changes.rows[best_quote_hash(MONDAY)] = {"AIG": b"\x90"}
    changes.rows[range_hash(MONDAY)] = changes.rows[halt_hash(MONDAY)] = {"AIG": b"\x01"}
    changes.rows[top_trades_hash(MONDAY)] = {"1m:volume": b"\x90"}
    changes.rows[prints_hash(MONDAY)] = {"prints": b"\x90"}
    changes.items["halts"] = [b"\x01"]
    place = (await cache.claim("trades.0")).place
    place = await cache.flush("trades.0", place, {"mdl-1": b"\x93\x01\x02\x00"}, changes)
    await cache.flush("trades.0", place, {}, Changes())
    await cache.close()


async def fill_mdc(url: str, link: Link) -> None:
    references = ReferenceCache(url)
    await references.put(DATE, [row("AIG", 1.0)])
    await references.mark_loaded(Loaded(DATE, DATE, 1))
    await references.close()
    await fill_reference_data(link)
    await RedisLease(link, "listener:massive", "a", 15.0).acquire()
    interest = RedisInterest(url)
    await interest.renew(["AIG"])
    await interest.close()
    registry = RedisRegistry(url)
    await registry.heartbeat(report())
    for name in ("pause", "resume"):
        with pytest.raises(RegistryError):
            await registry.send("listener", "0", name, {}, 0.01)
    command = await registry.take("listener", "0", 1)
    assert command is not None
    await registry.answer(command, Reply())
    await registry.close()


async def fill_reference_data(link: Link) -> None:
    await CorrectionStore(link).add("XNYS", [Correction("2026-11-20", False)], "2026-11-01")
    limits = ProviderLimits(link, account_of("https://api.example.com", "a key"))
    await limits.switch_off("floats", 3600.0)
    await limits.pause(60.0)
    shelf, splits, snapshots = Shelf(link, "a"), KINDS["splits"], KINDS["snapshots"]
    for kind, argument in ((splits, "AIG"), (splits, "BAC"), (splits, "IBM"), (snapshots, "")):
        assert await shelf.depart(kind, argument, "a", 6000)
    await shelf.land(splits, "AIG", "a", Entry(0, 1, b"{}"), 1000 * Ttl.known_s("splits"))
    await shelf.land_trouble(splits, "BAC", "a", Trouble(False, "down", 1), 60_000)
    await shelf.land_market(snapshots, "a", Entry(0, 1), {"AIG": b"{}"}, 60_000)
    await shelf.land_market(snapshots, "too late", Entry(0, 1), {}, 60_000)  # stays staged


async def check(link: Link, rows: Sequence[KeyRow]) -> None:
    """Every key fits a line, in type and TTL, and every line has a key."""
    seen = set()
    for key in sorted(found.decode() for found in await link.run("KEYS", "*")):
        fitting = next((row for row in rows if row.matches(key)), None)
        assert fitting is not None, f"{key} is not in docs/redis.md"
        seen.add(fitting.pattern)
        kind = (await link.run("TYPE", key)).decode()
        assert TYPES.get(kind, kind) == fitting.kind, key
        ttl_s = await link.run("TTL", key)
        if fitting.forever:
            assert ttl_s == -1, key
        elif fitting.ttl_s is None:
            assert ttl_s > 0, key
        else:
            assert fitting.ttl_s - 10 <= ttl_s <= fitting.ttl_s, key
    assert seen == {row.pattern for row in rows}


async def test_the_page_and_a_widget_data_cache_agree(redis_url: str, link: Link) -> None:
    await fill_wdc(redis_url)
    await check(link, key_rows("Keys of WDC"))


async def test_the_page_and_the_keys_of_the_earlier_engine_agree(link: Link) -> None:
    minute = Candle(MONDAY_MS, 1.0, 1.0, 1.0, 1.0, 5, 1.0, 1, True, 0, False)
    await write_keys(link, CompatKeys().of("NSE_FO:8765", [minute]))
    raw = RawTicks(link, None, CircuitBreaker(time.monotonic))
    raw.take([Tick("upstox", "NSE_FO", "8765", "NIFTY-I", 1.0, 1, 1, None, MONDAY_MS, 0)])
    await raw.flush()
    await check(link, key_rows("Keys of the earlier tick engine"))


async def test_the_page_and_a_market_data_cache_agree(redis_url: str, link: Link) -> None:
    await fill_mdc(redis_url, link)
    await check(link, key_rows("Keys of MDC"))
