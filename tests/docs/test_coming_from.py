"""Names of the earlier systems: each is in one table, and what does the job here exists."""

import re
from importlib import import_module
from typing import Any, Final

import pytest

from tapewire.model.feeds import FEEDS
from tapewire.runtime.health import metrics
from tapewire.runtime.service import Report, State
from tapewire.runtime.settings import Settings
from tests.docs.pages import PROJECT, Row, parse, table

TEXT: Final = (PROJECT / "docs" / "coming-from.md").read_text("utf-8")

FIRST_SYSTEM: Final = (
    *("MassiveDataQueues", "FinlightDataQueues", "WebSocketMessageSerde", "QueueNameResolver"),
    *("MassiveDataQueue", "FinlightDataQueue", "MarketDataAnalyzerResult", "AnalyzerOptions"),
    *("MarketDataCacheKeys", "MarketDataCacheTTL", "MarketDataPubSubKeys", "WidgetDataCacheKeys"),
    *("WidgetDataCacheTTL", "Observability", "StructuredLogging", "TickerSnapshot"),
    *("API key order", "MDP server", "LBA server", "four repositories", "py4web"),
    *("opentelemetry-instrument", "JSON exporter"),
)
SECOND_SYSTEM: Final = (
    *("IntegratedOhlcProcessor", "tick_handler", "call_soon_threadsafe", "AtomicOhlcEngine"),
    *("atomic_update", "OhlcCandle", "minute_int", "RedisWriter", "tick parser", "TickFilter"),
    *("CircuitBreaker", "BrokerFactory", "validate_tick_data", "raw ticks"),
    *("num_tick_workers", "queue_maxsize", "tick_batch_size", "pipeline batch 50", "flush 50 ms"),
    *("pool 20", "health check 30 s", "TTL 24 h"),
)


def there() -> list[Row]:
    return table(TEXT, "name")


def not_there() -> list[Row]:
    return table(TEXT.split("## What is not there yet")[1], "name")


@pytest.mark.parametrize("name", [*FIRST_SYSTEM, *SECOND_SYSTEM])
def test_a_name_is_in_exactly_one_row(name: str) -> None:
    whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    assert sum(bool(whole.search(row[0])) for row in [*there(), *not_there()]) == 1


def imported(path: str) -> Any:
    """What an import path names: a module, or something inside one."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


def feed(pattern: str) -> None:
    assert pattern in {feed.pattern for feed in FEEDS}


def setting(name: str) -> None:
    assert name.lower() in Settings.model_fields


def metric(name: str) -> None:
    report = Report(
        *("listener", "0", State.RUNNING, True, 0),
        lag_ms=1.0,
        **{field: {"x": 1} for field in ("rates", "gaps", "drops", "queues")},  # type: ignore[arg-type]
        detail={
            "provider": {"active": "dhan", "brokers": {"dhan": {}}},
            "shards": {"ticks.0": {"events": 1, "candles": 1}},
        },
    )
    assert f"# TYPE {name} " in metrics(report, 1.0)


def command(line: str) -> None:
    program, *words = line.split()
    assert program == "tapewire"
    parse(words)


CHECKS: Final = {
    "import": imported,
    "feed": feed,
    "setting": setting,
    "metric": metric,
    "command": command,
}


@pytest.mark.parametrize("row", there(), ids=lambda row: row[0])
def test_the_target_exists(row: Row) -> None:
    _, kind, target, _ = row
    CHECKS[kind](target.strip("`"))


def test_a_target_that_does_not_exist_is_found() -> None:
    with pytest.raises(AttributeError):
        imported("tapewire.model.rows.NoSuchRow")
    for check, name in ((feed, "no:feed"), (setting, "NO_SETTING"), (metric, "no_metric")):
        with pytest.raises(AssertionError):
            check(name)


METRICS = table((PROJECT / "docs" / "operations.md").read_text("utf-8"), "metric")


@pytest.mark.parametrize("name", [name for row in METRICS for name in row[0].split(", ")])
def test_a_metric_of_the_operations_page_exists(name: str) -> None:
    metric(name.strip("`"))
