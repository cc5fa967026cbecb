"""How Massive's REST wraps what it answers: envelopes, pages, errors (massive.md, section 2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec
from aiohttp import web

Row = dict[str, Any]

NOT_ENTITLED: Final = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
TOO_MANY: Final = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to"
    " continue. https://polygon.io/pricing"
)
_encode: Final = msgspec.json.Encoder().encode


class BadRequestError(ValueError):
    """A parameter that cannot be read; answered with 400."""


class UnknownTickerError(LookupError):
    """A ticker or day that the provider does not know; answered with 404 in JSON."""


def json_response(body: object, status: int = 200) -> web.Response:
    """A document, compressed where the client takes that."""
    response = web.Response(body=_encode(body), status=status, content_type="application/json")
    response.enable_compression()
    return response


class Answers:
    """Answers of one server; every one has a number of its own."""

    def __init__(self) -> None:
        self._request_ids = (f"{number:032x}" for number in count(1))

    def success(self, body: Mapping[str, Any]) -> web.Response:
        """Data in its envelope."""
        return json_response({"status": "OK", "request_id": next(self._request_ids), **body})

    def failure(self, code: int, status: str, field: str, text: str) -> web.Response:
        """An error in its envelope; ``field`` is ``error`` or ``message``."""
        body = {"status": status, "request_id": next(self._request_ids), field: text}
        return json_response(body, code)

    def one(self, row: Row) -> web.Response:
        """A single thing."""
        return self.success({"results": row})

    def bars(self, rows: Sequence[Row], **more: str) -> web.Response:
        """Bars; without any the field is left out."""
        counts = {"queryCount": len(rows), "resultsCount": len(rows), "count": len(rows)}
        body = {**more, **counts, "adjusted": True}
        return self.success(body | ({"results": rows} if rows else {}))

    def page(
        self, request: web.Request, rows: Sequence[Row], *, default: int, most: int
    ) -> web.Response:
        """One page of the rows asked for, with ``next_url`` when more follow."""
        wanted = {request.query.get("ticker"), *request.query.get("ticker.any_of", "").split(",")}
        wanted -= {None, ""}
        rows = [row for row in rows if not wanted or row["ticker"] in wanted]
        offset, limit = _position(request, default, most)
        page = rows[offset : offset + limit]
        body: Row = {"count": len(page), "results": page}
        if offset + limit < len(rows):
            cursor = base64.urlsafe_b64encode(f"{offset + limit}/{limit}".encode()).decode()
            query = {name: value for name, value in request.query.items() if name != "apiKey"}
            body["next_url"] = str(request.url.with_query(query | {"cursor": cursor}))
        return self.success(body)


def limit_of(request: web.Request, default: int, most: int) -> int:
    """The number of rows asked for; BadRequestError beyond what the call allows."""
    text = request.query.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise BadRequestError(f"limit is {text!r}; expected 1 to {most}")
    return int(text)


def _position(request: web.Request, default: int, most: int) -> tuple[int, int]:
    """Where a page starts, and its size: from the cursor, else from the beginning."""
    cursor = request.query.get("cursor")
    if cursor is None:
        return 0, limit_of(request, default, most)
    try:
        offset, limit = base64.urlsafe_b64decode(cursor).decode().split("/")
        return int(offset), int(limit)
    except ValueError as error:
        raise BadRequestError(f"cursor {cursor!r} is not one of ours") from error
