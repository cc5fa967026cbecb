"""What a service says of its health, whoever serves it: ready or not, the object, the metrics.

`health_server.HealthServer` serves it for services that have no HTTP of their own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from tapewire import __version__
from tapewire.runtime.service import Report, State
from tapewire.runtime.tick_metrics import Metric, tick_metrics

_READY_STATES: Final = frozenset({State.STAND_BY})

_LABELLED: Final = (
    ("tapewire_rate_per_second", "gauge", "stream", "rates"),
    ("tapewire_lost_events_total", "counter", "shard", "gaps"),
    ("tapewire_dropped_events_total", "counter", "reason", "drops"),
    ("tapewire_queue_batches", "gauge", "shard", "queues"),
)
"""Metric, type, label, and the field of the report that it shows."""


class HttpAddress(NamedTuple):
    """Where to listen. ``setting`` is named in the message when the port is taken."""

    host: str
    port: int
    setting: str = "TAPEWIRE_HTTP_PORT"


class Health(Struct):
    """What ``/health`` answers. ``status_code`` is 1 while ``/readyz`` says yes, else 0.

    ``status`` is the report's state; ``uptime_s`` counts from the server's start; ``feeds``,
    ``workers`` and ``clients`` are what the service puts under these names in its report's
    ``detail``; ``queues`` are batches waiting by shard.
    """

    service: str
    version: str
    status: str
    status_code: int
    uptime_s: float
    feeds: Any
    queues: Mapping[str, int]
    workers: Any
    clients: Any
    reason: str = ""


def is_ready(report: Report) -> bool:
    """Whether the service does its work, or stands by to do it."""
    return report.healthy or report.state in _READY_STATES


def describe(report: Report, uptime_s: float) -> Health:
    """The documented health object of a report."""
    return Health(
        service=report.service,
        version=__version__,
        status=report.state,
        status_code=int(is_ready(report)),
        uptime_s=round(uptime_s, 3),
        feeds=report.detail.get("feeds", {}),
        queues=report.queues,
        workers=report.detail.get("workers", {}),
        clients=report.detail.get("clients", 0),
        reason=report.reason,
    )


def metrics(report: Report, uptime_s: float) -> str:
    """The report's figures as Prometheus text; one series per stream, shard or reason."""
    common = {"service": report.service, "instance_name": report.instance}
    return "".join(_series(report, uptime_s, common))


def _series(report: Report, uptime_s: float, common: Mapping[str, str]) -> Iterator[str]:
    plain = (
        ("tapewire_healthy", "gauge", int(report.healthy)),
        ("tapewire_ready", "gauge", int(is_ready(report))),
        ("tapewire_uptime_seconds", "gauge", round(uptime_s, 3)),
        ("tapewire_lag_milliseconds", "gauge", report.lag_ms),
    )
    for name, kind, value in plain:
        if value is not None:
            yield f"# TYPE {name} {kind}\n{name}{_labels(common)} {value}\n"
    everywhere = [
        Metric(name, kind, label, getattr(report, field)) for name, kind, label, field in _LABELLED
    ]
    for name, kind, label, samples in (*everywhere, *tick_metrics(report)):
        if samples:
            yield f"# TYPE {name} {kind}\n"
        for key, value in samples.items():
            yield f"{name}{_labels({**common, label: key})} {value}\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
