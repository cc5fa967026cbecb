"""The small HTTP server of every service: is it alive, is it ready, how is it, how much.

=============  =====================================================================
``/livez``     200 as long as the event loop turns
``/readyz``    200 while the service does its work or stands by, else 503 and why
``/health``    always 200 and one JSON object, see :class:`Health`
``/metrics``   the figures of the service's report as Prometheus text (version 0.0.4)
=============  =====================================================================
"""

import errno
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from msgspec import Struct

from tapewire import __version__
from tapewire.runtime.service import DependencyMissing, Report, State

_READY_STATES: Final = frozenset({State.STAND_BY})
_TEXT: Final = "text/plain; version=0.0.4"

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


class HealthServer:
    """Serves one service's report. Costs nothing while nobody asks."""

    def __init__(
        self,
        report: Callable[[], Report],
        address: HttpAddress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._address = address
        self._clock = clock
        self._began_s = clock()
        self._runner: web.AppRunner | None = None
        self.port = address.port
        """The port listened on; differs from the address only when that was 0."""

    async def start(self) -> None:
        """Listen. Raises DependencyMissing (exit code 4) when the port cannot be had.

        It is 4 also for a port that was given explicitly: nothing is wrong with the
        command, and a supervisor may try again when the port has become free.
        """
        app = web.Application()
        app.add_routes([web.get(path, handler) for path, handler in self._routes().items()])
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, self._address.host, self._address.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise DependencyMissing(self._cannot_listen(error)) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port; a request in flight has one second."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _cannot_listen(self, error: OSError) -> str:
        host, port, setting = self._address
        why = "is in use by another process" if error.errno == errno.EADDRINUSE else str(error)
        return (
            f"cannot listen on {host} port {port}: it {why}. Stop that process, set"
            f" {setting} to a free port (0 takes any), or turn HTTP off with --http off."
        )

    def _routes(self) -> dict[str, Callable[[web.Request], Awaitable[web.Response]]]:
        return {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/health": self._health,
            "/metrics": self._metrics,
        }

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        report = self._report()
        if is_ready(report):
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"{report.state}: {report.reason or 'not ready'}\n")

    async def _health(self, _request: web.Request) -> web.Response:
        health = describe(self._report(), self._clock() - self._began_s)
        return web.Response(body=msgspec.json.encode(health), content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = metrics(self._report(), self._clock() - self._began_s)
        return web.Response(body=text.encode(), headers={"Content-Type": _TEXT})


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
    for name, kind, label, field in _LABELLED:
        values: Mapping[str, float] = getattr(report, field)
        if values:
            yield f"# TYPE {name} {kind}\n"
        for key, value in values.items():
            yield f"{name}{_labels({**common, label: key})} {value}\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
