"""What listeners of brokers and processors of ticks say to Prometheus."""

from typing import Any

from tapewire.runtime.health import metrics
from tapewire.runtime.service import Report, State
from tapewire.runtime.tick_metrics import tick_metrics

BROKERS = {
    "upstox": {"ticks": 1200, "reconnects": 4},
    "fyers": {"ticks": 300, "reconnects": 0},
}


def report(service: str, drops: dict[str, int] | None = None, **detail: Any) -> Report:
    return Report(service, "0", State.RUNNING, True, 0, drops=drops or {}, detail=detail)


def listening(**provider: Any) -> Report:
    usual = {"active": "fyers", "brokers": BROKERS, "switched_to": {"fyers": 2}}
    return report(
        "listener",
        {"tick_queue": 7},
        provider=usual | provider,
        held={"ticks": 50},
        refused={"bad_price": 3},
    )


def lines(shown: Report, name: str) -> list[str]:
    """The samples of a metric, without the labels that all have."""
    common = f'service="{shown.service}",instance_name="0"'
    text = metrics(shown, 1.0).replace(f"{{{common},", "{").replace(f"{{{common}}}", "")
    return [line.removeprefix(name) for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_the_active_broker_is_a_gauge_of_every_broker() -> None:
    assert lines(listening(), "tapewire_broker_active") == [
        '{broker="upstox"} 0',
        '{broker="fyers"} 1',
    ]
    nobody = lines(listening(active=None), "tapewire_broker_active")
    assert nobody == ['{broker="upstox"} 0', '{broker="fyers"} 0']


def test_switches_and_reconnects_are_counted_for_each_broker() -> None:
    assert lines(listening(), "tapewire_broker_switches_total") == [
        '{broker="upstox"} 0',
        '{broker="fyers"} 2',
    ]
    assert lines(listening(), "tapewire_broker_reconnects_total") == [
        '{broker="upstox"} 4',
        '{broker="fyers"} 0',
    ]


def test_a_listener_has_the_earlier_engines_names() -> None:
    assert lines(listening(), "ticks_received_total") == [
        '{broker="upstox"} 1200',
        '{broker="fyers"} 300',
    ]
    assert lines(listening(), "queue_size") == ['{queue="ticks"} 50']
    assert lines(listening(), "error_count") == [
        '{reason="tick_queue"} 7',
        '{reason="bad_price"} 3',
    ]


def test_a_processor_has_them_by_shard() -> None:
    shards = {
        "ticks.0": {"events": 1000, "candles": 60},
        "trades.0": {"events": 500, "candles": 20},
    }
    shown = report("processor", {"late": 2, "baseline": 400}, shards=shards)
    assert lines(shown, "ticks_processed_total") == ['{shard="ticks.0"} 1000']
    assert lines(shown, "ohlc_updates_total") == ['{shard="ticks.0"} 60', '{shard="trades.0"} 20']
    assert lines(shown, "error_count") == ['{reason="late"} 2']


def test_services_without_ticks_say_nothing_of_them() -> None:
    massive = report("listener", provider={"connections": 1}, held={})
    assert list(tick_metrics(massive)) == []
    assert list(tick_metrics(report("widgets"))) == []
    trades = report("processor", shards={"trades.0": {"events": 1, "candles": 0}})
    assert [metric.name for metric in tick_metrics(trades)] == ["ohlc_updates_total"]


def test_each_metric_is_declared_once() -> None:
    text = metrics(listening(), 1.0)
    declared = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    assert "# TYPE ticks_received_total counter" in text
    assert "# TYPE tapewire_broker_active gauge" in text
