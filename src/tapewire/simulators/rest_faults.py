"""Faults of the REST side: what a provider answers on a bad day.

A fault hits the next ``times`` requests whose path begins with ``path`` (for ever when that is
null), in the order in which faults were planned::

    POST /_simulator/rest_faults  {"fault": "throttle", "path": "/stocks", "retry_after": "7"}
    DELETE /_simulator/rest_faults
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from tapewire.simulators.faults import FaultError
from tapewire.simulators.rest_answers import NOT_ENTITLED, TOO_MANY, Answers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REST_FAULTS: Final[Mapping[str, str]] = {
    "bad_key": "401 in JSON",
    "not_entitled": "403 in JSON",
    "not_found": "404 in JSON: the thing is unknown",
    "no_route": "404 in plain text: the path is unknown",
    "throttle": "429 in plain text, with Retry-After where retry_after is given",
    "error": "500 in plain text",
    "unavailable": "503 in plain text, with Retry-After where retry_after is given",
    "hang_up": "the connection ends without an answer",
    "slow": "the answer comes after `seconds`",
    "truncated": "200 with a document that is cut off in the middle",
    "wrong_type": "200 with a page of HTML",
    "delayed": "the answer with status DELAYED, as delayed plans get it",
    "foreign_page": "the answer with a next_url at another origin: next_url, else a made-up one",
}

_ELSEWHERE: Final = "http://127.0.0.1:9/v3/reference/tickers?cursor=stolen"


class RestFault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault. ``retry_after``: the header's value, seconds or a date."""

    fault: str
    path: str = "/"
    times: int | None = 1
    retry_after: str = ""
    seconds: float = 1.0
    next_url: str = _ELSEWHERE


class RestFaults:
    """The faults still to come, and the answers that they make; ``met`` counts them by name."""

    def __init__(self, answers: Answers, met: Counter[str]) -> None:
        self._answers = answers
        self._planned: list[RestFault] = []
        self._met = met

    def plan(self, fault: RestFault) -> None:
        """Add one; FaultError when there is no such fault."""
        if fault.fault not in REST_FAULTS:
            known = ", ".join(REST_FAULTS)
            raise FaultError(f"REST fault {fault.fault!r} is unknown; expected one of {known}")
        self._planned.append(fault)

    def clear(self) -> None:
        """Forget all of them."""
        self._planned.clear()

    async def meet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, with the fault that is due for it, if any."""
        fault = self._take(request.path)
        if fault is None:
            return await handler(request)
        self._met[fault.fault] += 1
        if fault.fault in _CHANGES:
            answer = await handler(request)
            assert isinstance(answer, web.Response)
            return _CHANGES[fault.fault](answer, fault)
        if fault.fault == "slow":
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        if fault.fault == "hang_up":
            assert request.transport is not None
            request.transport.close()
        return self._refusal(fault)

    def _take(self, path: str) -> RestFault | None:
        for fault in self._planned:
            if path.startswith(fault.path):
                if fault.times is not None:
                    fault.times -= 1
                if fault.times == 0:
                    self._planned.remove(fault)
                return fault
        return None

    def _refusal(self, fault: RestFault) -> web.Response:
        answers = self._answers
        if fault.fault == "bad_key":
            return answers.failure(401, "ERROR", "error", "Unknown API Key")
        if fault.fault == "not_entitled":
            return answers.failure(403, "NOT_AUTHORIZED", "message", NOT_ENTITLED)
        if fault.fault == "not_found":
            return answers.failure(404, "NOT_FOUND", "message", "Ticker not found.")
        status, text = _TEXTS[fault.fault]
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        return web.Response(status=status, text=text, headers=headers)


def _bytes_of(answer: web.Response) -> bytes:
    body = answer.body
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def _truncated(answer: web.Response, _: RestFault) -> web.Response:
    body = _bytes_of(answer)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


def _wrong_type(_: web.Response, __: RestFault) -> web.Response:
    return web.Response(text="<html>Scheduled maintenance</html>", content_type="text/html")


def _delayed(answer: web.Response, _: RestFault) -> web.Response:
    body = _bytes_of(answer).replace(b'"status":"OK"', b'"status":"DELAYED"')
    return web.Response(body=body, content_type="application/json")


def _foreign_page(answer: web.Response, fault: RestFault) -> web.Response:
    body = re.sub(rb',"next_url":"[^"]*"', b"", _bytes_of(answer)).rstrip().removesuffix(b"}")
    link = b',"next_url":' + msgspec.json.encode(fault.next_url) + b"}"
    return web.Response(body=body + link, content_type="application/json")


_CHANGES: Final[Mapping[str, Callable[[web.Response, RestFault], web.Response]]] = {
    "truncated": _truncated,
    "wrong_type": _wrong_type,
    "delayed": _delayed,
    "foreign_page": _foreign_page,
}
_TEXTS: Final = {
    "no_route": (404, "404 page not found"),
    "throttle": (429, TOO_MANY),
    "error": (500, "Internal Server Error"),
    "unavailable": (503, "upstream connect error"),
    "hang_up": (503, ""),
}
