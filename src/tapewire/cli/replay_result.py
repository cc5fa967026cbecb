"""What a replay did, read from the Widget Data Cache: the truth is what is stored."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.cli.output import Column, Form, Printer, Style, count
from tapewire.model.candle_names import CandleHash, is_candles
from tapewire.model.changes import PRIVATE
from tapewire.model.events import Gap
from tapewire.model.positions import Positions
from tapewire.model.streams import Shard
from tapewire.services.shard_state import PROGRESS, Totals, decode_totals


class ShardProgress(Struct):
    """How far one shard is. ``applied`` counts events folded and lost."""

    shard: Shard
    totals: Totals
    applied: int
    ended: bool


class ReplayResult(Struct):
    """What ``tapewire replay --json`` prints. Gaps' ``from`` and ``to`` are event time, ms."""

    events: dict[str, int]
    batches: dict[str, int]
    skipped: dict[str, int]
    dropped: dict[str, int]
    gaps: list[dict[str, Any]]
    candles: int
    seconds: float
    events_per_second: float


async def progress_of(cache: RedisWidgetCache, shards: Sequence[Shard]) -> list[ShardProgress]:
    """Every shard's progress; one that nobody has flushed yet stands at nothing."""
    return [await _progress_of(cache, shard) for shard in shards]


async def _progress_of(cache: RedisWidgetCache, shard: Shard) -> ShardProgress:
    wanted = {PRIVATE + PROGRESS: None, "positions": None}
    found = await cache.fetch(shard.name, wanted)
    progress = found.get(PRIVATE + PROGRESS, {})
    positions = Positions.unpack(found.get("positions", {})).by_producer.values()
    totals = decode_totals(progress["totals"]) if "totals" in progress else Totals()
    applied = sum(position.applied for position in positions)
    return ShardProgress(shard, totals, applied, "ended" in progress)


async def result_of(
    cache: RedisWidgetCache, shards: Sequence[Shard], seconds: float
) -> ReplayResult:
    """The finished replay's figures."""
    events: Counter[str] = Counter()
    batches: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for one in await progress_of(cache, shards):
        events[one.shard.stream.value] += one.applied
        batches[one.shard.stream.value] += one.totals.batches
        skipped.update(one.totals.skipped)
    gaps = [gap for shard in shards for gap in await cache.gaps(shard.name)]
    for gap in gaps:
        dropped[gap.reason] += gap.events or 0
    total = events.total()
    return ReplayResult(
        events=dict(events),
        batches=dict(batches),
        skipped=dict(skipped),
        dropped=dict(+dropped),
        gaps=[_gap_row(gap) for gap in gaps],
        candles=await _count_candles(cache, shards),
        seconds=round(seconds, 3),
        events_per_second=round(total / seconds, 1) if seconds else 0.0,
    )


def _gap_row(gap: Gap) -> dict[str, Any]:
    return {
        "shard": gap.shard,
        "from": gap.from_ms,
        "to": gap.to_ms,
        "reason": gap.reason,
        "events": gap.events,
        "from_offset": gap.from_offset,
        "to_offset": gap.to_offset,
    }


async def _count_candles(cache: RedisWidgetCache, shards: Sequence[Shard]) -> int:
    total = 0
    for shard in shards:
        names = filter(is_candles, await cache.names(shard.name))
        minutes = [name for name in names if CandleHash.parse(name).interval == "1m"]
        rows = await cache.fetch(shard.name, dict.fromkeys(minutes))
        total += sum(len(candles) for candles in rows.values())
    return total


def print_result(printer: Printer, result: ReplayResult) -> None:
    """One JSON object, or a table of figures."""
    if printer.form is Form.JSON:
        printer.json(result)
        return
    streams = [
        {"stream": stream, "events": result.events[stream], "batches": result.batches[stream]}
        for stream in result.events
    ]
    printer.rows(streams, _STREAM_COLUMNS, "Replayed")
    for words in _sentences(result):
        printer.text(words)


def _sentences(result: ReplayResult) -> list[str]:
    lost = sum(result.dropped.values())
    rate = count(round(result.events_per_second))
    candles = f"{count(result.candles)} 1-minute candles"
    words = [
        f"{candles}, {result.seconds:,.1f} s, {rate} events a second",
        f"lost: {count(lost)} events in {len(result.gaps)} gaps" if result.gaps else "lost: none",
    ]
    if result.skipped:
        reasons = ", ".join(f"{reason} {count(n)}" for reason, n in result.skipped.items())
        words.append(f"skipped: {reasons}")
    return words


_STREAM_COLUMNS = (
    Column("stream", "Stream"),
    Column("events", "Events", Style.COUNT),
    Column("batches", "Batches", Style.COUNT),
)
