"""The small HTTP server of every service: is it alive, is it ready, how is it, how much.

=============  =====================================================================
``/livez``     200 as long as the event loop turns
``/readyz``    200 while the service does its work or stands by, else 503 and why
``/health``    always 200 and one JSON object, see :class:`health.Health`
``/metrics``   the figures of the service's report as Prometheus text (version 0.0.4)
=============  =====================================================================
"""

import errno
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from tapewire.runtime.health import HttpAddress, describe, is_ready, metrics
from tapewire.runtime.service import DependencyMissing, Report

_TEXT: Final = "text/plain; version=0.0.4"


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
