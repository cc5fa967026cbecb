"""Dhan's REST on a real port: scripted answers, and everything that was asked."""

import base64
import json
from typing import Any, NamedTuple, Self

from aiohttp import web

CLIENT_ID = "1000000401"


class Asked(NamedTuple):
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    token: str | None
    client_id: str | None


class DhanServer:
    """Gives each path's answers in order, the last one for ever; 404 where there is none."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None

    def answer(self, path: str, *answers: tuple[int, Any]) -> None:
        """Answer a path with statuses and bodies; a body that is no bytes is JSON."""
        self.answers[path] = [
            (status, body if isinstance(body, bytes) else json.dumps(body).encode())
            for status, body in answers
        ]

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                headers.get("access-token"),
                headers.get("dhanClientId"),
            )
        )
        answers = self.answers.get(request.path, [(404, b"")])
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.Response(status=status, body=body, headers={"Location": "/elsewhere"})


def jwt(ends_s: float, name: str = "x") -> str:
    """A token that says when it ends; ``name`` tells one from another."""
    parts = [{"alg": "none"}, {"exp": int(ends_s), "dhanClientId": CLIENT_ID, "name": name}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return ".".join([*(part.decode() for part in coded), "c2lnbmVk"])
