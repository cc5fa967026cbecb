"""The control plane's HTTP: the dashboard, its configuration, and what services report."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from tapewire import __version__
from tapewire.control.pages import Dashboard
from tapewire.control.security import content_policy, guard
from tapewire.runtime.loopback import LOOPBACK, hostname
from tapewire.runtime.service import Report

FOREVER: Final = "public, max-age=31536000, immutable"
"""Assets carry a hash of their content in their names."""

Reports = Callable[[], Awaitable[Sequence[Report]]]


class ControlConfig(Struct, frozen=True):
    """What the page is told. ``stream_port`` is the Widget Data Service's."""

    stream_port: int


def build_app(config: ControlConfig, dashboard: Dashboard, reports: Reports) -> FastAPI:
    """The application; ``reports`` asks the registry for what services say of themselves."""
    app = FastAPI(
        title="Tapewire control plane", version=__version__, docs_url=None, redoc_url=None
    )
    app.middleware("http")(guard(LOOPBACK))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index(request: Request) -> Response:
        url = stream_url(request, config.stream_port)
        page = dashboard.page({"wds_url": url, "version": __version__})
        origin = url.removesuffix("/ws")
        headers = {"Content-Security-Policy": content_policy(origin), "Cache-Control": "no-store"}
        return HTMLResponse(page, headers=headers)

    @app.head("/api/v1/status", include_in_schema=False)
    @app.get("/api/v1/status", summary="What every service says of itself")
    async def status() -> Response:
        return _json(await reports())

    app.mount("/assets", _Assets(directory=dashboard.folder / "assets", check_dir=False))
    app.mount("/", StaticFiles(directory=dashboard.folder))
    return app


def stream_url(request: Request, port: int) -> str:
    """The stream's address under the name by which the page itself was asked for."""
    name = hostname(request.headers.get("host", "127.0.0.1"))
    return f"ws://{f'[{name}]' if ':' in name else name}:{port}/ws"


class _Assets(StaticFiles):
    """Files whose names change with their content."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = FOREVER
        return response


def _json(value: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)
