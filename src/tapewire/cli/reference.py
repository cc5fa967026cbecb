"""``tapewire reference``: what is known of a symbol, how old it is, and why something is not."""

import asyncio
from contextlib import AsyncExitStack
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tapewire.cli.options import Json, Symbol
from tapewire.cli.output import Column, Printer, Style

if TYPE_CHECKING:
    from tapewire.caches.known import Known
    from tapewire.caches.market_data_cache import MarketDataCache
    from tapewire.runtime.settings import Settings

COLUMNS: Final = (
    Column("kind", "kind"),
    Column("summary", "what is known", wraps=True),
    Column("age_ms", "age", Style.DURATION),
    Column("stale", "stale", Style.FLAG),
    Column("source", "from"),
)
MAX_SUMMARY: Final = 120

Ask = Annotated[
    bool, typer.Option("--ask", help="Ask the provider for what is not known, or is stale.")
]


def reference(symbol: Symbol, ask: Ask = False, json: Json = False) -> None:
    """Show what is known of a symbol: reference data, its age, whether it is stale.

    From MDC_REDIS_URL, else from the embedded server.
    """
    from tapewire.cli.edge import load

    asyncio.run(_show(load().settings, symbol, Printer.for_stdout(json=json), ask=ask))


async def _show(settings: "Settings", symbol: str, printer: Printer, *, ask: bool) -> None:
    from tapewire.runtime.service import ServiceError

    async with AsyncExitStack() as stack:
        cache = await _open(settings, stack, ask=ask)
        lines = await read(cache, symbol, ask=ask)
    if all(line["age_ms"] is None for line in lines) and not any(line["reason"] for line in lines):
        raise ServiceError(
            f"nothing is known of {symbol}; with --ask the provider is asked, and"
            " `tapewire run reference` loads the whole market"
        )
    shown = [line for line in lines if line["age_ms"] is not None or line["reason"]]
    printer.rows(shown, COLUMNS, f"{symbol}: reference data")


async def _open(settings: "Settings", stack: AsyncExitStack, *, ask: bool) -> "MarketDataCache":
    """The cache over the provider to ask it, else over nothing but what is stored."""
    from tapewire.caches.connection import Link
    from tapewire.caches.market_data_cache import MarketDataCache
    from tapewire.caches.provider_limits import provider_of
    from tapewire.caches.reference import ReferenceCache
    from tapewire.cli.clock import EXCHANGE
    from tapewire.cli.stores import address
    from tapewire.market.sessions import SessionCalendar

    calendar = SessionCalendar.load(EXCHANGE)
    url = await stack.enter_async_context(address(settings, "mdc_redis_url"))
    if ask:
        from tapewire.cli.reference_parts import open_market_data

        return (await open_market_data(settings, stack, calendar, url=url)).cache
    link, rows = Link(url), ReferenceCache(url)
    stack.push_async_callback(link.close)
    stack.push_async_callback(rows.close)
    loaded = await rows.newest()
    provider = loaded.provider if loaded else provider_of(settings.massive_rest_url)
    return MarketDataCache(link, None, calendar, provider)


async def read(cache: "MarketDataCache", symbol: str, *, ask: bool) -> list[dict[str, Any]]:
    """One line for each kind of data about a symbol, in the order of the table of kinds."""
    from tapewire.caches.kinds import KINDS

    names = [kind.name for kind in KINDS.values() if kind.argument == "symbol"]
    return list(await asyncio.gather(*(_line(cache, name, symbol, ask=ask) for name in names)))


async def _line(cache: "MarketDataCache", kind: str, symbol: str, *, ask: bool) -> dict[str, Any]:
    from tapewire.caches.known import LookupFailed

    try:
        found = await (cache.lookup(kind, symbol) if ask else cache.peek(kind, symbol))
    except LookupFailed as error:
        return _without(kind, str(error))
    return _without(kind, await cache.trouble(kind, symbol)) if found is None else line(found)


def _without(kind: str, reason: str) -> dict[str, Any]:
    unknown: dict[str, Any] = dict.fromkeys(("value", "age_ms", "stale", "source"))
    return {"kind": kind, **unknown, "reason": reason, "summary": reason}


def line(known: "Known") -> dict[str, Any]:
    """One value with its age; ``summary`` is what a terminal shows of it."""
    return {
        "kind": known.kind,
        "value": known.value(),
        "age_ms": known.age_ms,
        "stale": known.stale,
        "source": known.source.value,
        "reason": known.reason,
        "summary": summary(known),
    }


def summary(known: "Known") -> str:
    """The value in about 120 characters: as many of its fields as fit, whole ones only."""
    if known.body is None:
        return f"nothing: {known.reason}"
    value = known.value()
    if value is None:
        return f"{known.content_type}, {len(known.body)} bytes"
    if isinstance(value, list):
        newest = _fields(value[0]) if value else ""
        return f"{len(value)}; {newest}"
    return _fields(value)


def _fields(value: dict[str, Any]) -> str:
    plain = [
        f"{name} {shown}"
        for name, shown in value.items()
        if name != "symbol" and not isinstance(shown, dict | list)
    ]
    ends = accumulate(len(text) + 2 for text in plain)
    fitting = sum(end <= MAX_SUMMARY for end in ends)
    return ", ".join(plain[:fitting] + (["…"] if fitting < len(plain) else []))
