"""Metrics of brokers' ticks, out of the reports of listeners and processors.

``ticks_received_total``, ``ticks_processed_total``, ``ohlc_updates_total``, ``queue_size`` and
``error_count`` are the names that users of the earlier tick engine have in their dashboards
(``components.md`` 10).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tapewire.runtime.service import Report

_TICKS: Final = "ticks."
"""What the names of shards of ticks begin with."""


_NO_ERRORS: Final = frozenset({"baseline", "behind", "day_before", "duplicate", "no_price"})
"""Why ticks are left out that nothing is wrong with (``docs/concepts.md`` lists all reasons)."""


class Metric(NamedTuple):
    """One metric: its samples by the value of ``label``."""

    name: str
    kind: str
    label: str
    samples: Mapping[str, float]


def tick_metrics(report: Report) -> Iterator[Metric]:
    """Those of a listener of brokers or of a processor; none of any other service."""
    brokers = _mapping(_mapping(report.detail.get("provider")).get("brokers"))
    if brokers:
        yield from _of_listener(report, brokers)
    shards = _mapping(report.detail.get("shards"))
    # Services that only follow shards tell where they are instead.
    shards = {name: one for name, one in shards.items() if isinstance(one, Mapping)}
    if shards:
        yield from _of_processor(report, shards)


def _of_listener(report: Report, brokers: Mapping[str, Any]) -> Iterator[Metric]:
    provider, held = report.detail["provider"], _mapping(report.detail.get("held"))
    switched, active = _mapping(provider.get("switched_to")), provider.get("active")
    refused = _mapping(report.detail.get("refused"))
    yield Metric(
        "tapewire_broker_active", "gauge", "broker", {name: int(name == active) for name in brokers}
    )
    yield Metric(
        "tapewire_broker_switches_total",
        "counter",
        "broker",
        {name: switched.get(name, 0) for name in brokers},
    )
    for metric, count in (
        ("tapewire_broker_reconnects_total", "reconnects"),
        ("ticks_received_total", "ticks"),
    ):
        counts = {name: _mapping(one).get(count, 0) for name, one in brokers.items()}
        yield Metric(metric, "counter", "broker", counts)
    yield Metric("queue_size", "gauge", "queue", {"ticks": held.get("ticks", 0)})
    yield Metric("error_count", "counter", "reason", _errors({**report.drops, **refused}))


def _of_processor(report: Report, shards: Mapping[str, Any]) -> Iterator[Metric]:
    ticks = {name: one["events"] for name, one in shards.items() if name.startswith(_TICKS)}
    candles = {name: one["candles"] for name, one in shards.items()}
    yield Metric("ohlc_updates_total", "counter", "shard", candles)
    if ticks:
        yield Metric("ticks_processed_total", "counter", "shard", ticks)
        yield Metric("error_count", "counter", "reason", _errors(report.drops))


def _errors(left_out: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in left_out.items() if reason not in _NO_ERRORS}


def _mapping(value: Any) -> Mapping[str, Any]:
    """What a report has in a place, nothing where that is no mapping."""
    return value if isinstance(value, Mapping) else {}
