"""A small REST side of Massive on a real port: scripted answers, and everything that was asked.

The shapes are those of the provider's documentation.
"""

import asyncio
import gzip
import json
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import aiohttp
from aiohttp import web
from yarl import URL

NOT_ENTITLED = {
    "status": "NOT_AUTHORIZED",
    "request_id": "r",
    "message": "You are not entitled to this data. Please upgrade your plan.",
}


class Asked(NamedTuple):
    """One request as the server saw it."""

    path: str
    query: dict[str, str]
    key: str | None
    accepts: str | None


class Reply(NamedTuple):
    """What to answer: a JSON document, text, or nothing but a closed connection."""

    document: Any = None
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never written
    text: str | None = None
    hang_up: bool = False


def ok(*results: dict[str, Any], **more: Any) -> Reply:
    """An envelope with results, as the provider writes it."""
    return Reply({"status": "OK", "request_id": 1, "results": list(results), **more})


class RestServer:
    """Answers each path from its script, then from its standing answer, else 404 in plain text."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self.standing: Callable[[web.Request], Reply | None] = lambda _: None
        self.url = URL()
        self._runner: web.AppRunner | None = None

    def answers(self, path: str, *replies: Reply) -> None:
        """Give these answers to the next requests for a path, one each."""
        self.scripts[path].extend(replies)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = URL(f"http://127.0.0.1:{self._runner.addresses[0][1]}")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        self.asked.append(
            Asked(
                request.raw_path.partition("?")[0],
                dict(request.query),
                headers.get("Authorization"),
                headers.get("Accept-Encoding"),
            )
        )
        script = self.scripts[request.path]
        reply = script.popleft() if script else self.standing(request)
        return self._write(reply or Reply(text="404 page not found\n", status=404), request)

    def _write(self, reply: Reply, request: web.Request) -> web.StreamResponse:
        if reply.hang_up:
            assert request.transport is not None
            request.transport.close()
        if reply.text is not None:
            return web.Response(text=reply.text, status=reply.status, headers=reply.headers)
        return web.Response(
            body=gzip.compress(json.dumps(reply.document).encode()),
            status=reply.status,
            content_type="application/json",
            headers={"Content-Encoding": "gzip", **reply.headers},
        )


class FakeTime:
    """A monotonic clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds
        await asyncio.sleep(0)


def new_session() -> aiohttp.ClientSession:
    """A client session as a composer would make it."""
    return aiohttp.ClientSession()
