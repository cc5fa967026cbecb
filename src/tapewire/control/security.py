"""What every answer of the control plane carries so that a browser trusts nothing else."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tapewire.runtime.loopback import hostname

HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_POLICY: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

Handler = Callable[[Request], Awaitable[Response]]


def content_policy(stream_url: str) -> str:
    """The Content-Security-Policy of the page; it may connect to us and to ``stream_url``."""
    rules = {**_POLICY, "connect-src": f"'self' {stream_url}"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def guard(allowed: Collection[str]) -> Callable[[Request, Handler], Awaitable[Response]]:
    """Middleware: refuse names that are not ours (DNS rebinding), put the headers on the rest."""

    async def middleware(request: Request, call_next: Handler) -> Response:
        asked_for = hostname(request.headers.get("host", ""))
        if asked_for not in allowed:
            expected = ", ".join(sorted(allowed))
            text = f"this server is not {asked_for!r}; expected one of {expected}\n"
            response: Response = PlainTextResponse(text, status_code=421)
        else:
            response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return middleware
