"""Dhan's REST as far as the feed needs it: a token made or renewed, and the instrument master.

An answer that is not what was asked for is a `BrokerError` whose ending says what follows. Token,
PIN and one-time password travel in addresses and headers, and are never in one. Redirects are
not followed, since they would go along. Source: ``brokers.md`` 3.1.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.runtime.redact import Redactor

REST_URL: Final = "https://api.dhan.co"
_AUTH_URL: Final = "https://auth.dhan.co"
_FILES_URL: Final = "https://images.dhan.co"
GENERATE_PATH: Final = "/app/generateAccessToken"
RENEW_PATH: Final = "/v2/RenewToken"
MASTER_PATH: Final = "/api-data/api-scrip-master.csv"

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_MASTER_BYTES: Final = 256 * 1024 * 1024
"""The file has about 30 MB."""

MAX_WORDS: Final = 200
"""How much of Dhan's own words is kept."""

LOGIN_WAIT_S: Final = 130.0
"""Dhan makes a token at most once in two minutes, and takes a password once."""

# Refusals by status: how they are counted, and what next.
_REFUSED: Final = ("token_refused", RefreshToken("the access token was refused: provide another"))
_REFUSALS: Final[Mapping[int, tuple[str, Policy]]] = {
    401: _REFUSED,
    403: _REFUSED,
    404: ("unknown_route", Fatal("check DHAN_REST_URL")),
    429: ("rate_limited", BackOff(60.0)),
}
_UNREACHABLE: Final = ("unreachable", BackOff())


class Endpoints(Struct, frozen=True):
    """Where what is; at Dhan on three hosts, elsewhere (a simulator) on one."""

    generate: URL
    renew: URL
    master: URL

    @classmethod
    def of(cls, rest_url: str) -> "Endpoints":
        """From ``DHAN_REST_URL``; raises ValueError for an address that is none."""
        base = _checked(rest_url)
        own = base == URL(REST_URL)
        return cls(
            generate=(URL(_AUTH_URL) if own else base).joinpath(GENERATE_PATH[1:]),
            renew=base.joinpath(RENEW_PATH[1:]),
            master=(URL(_FILES_URL) if own else base).joinpath(MASTER_PATH[1:]),
        )


class _Token(Struct):
    accessToken: str = ""  # noqa: N815 - Dhan's spelling
    token: str = ""


class _Words(Struct):
    message: str = ""
    remarks: str = ""
    errorMessage: str = ""  # noqa: N815 - Dhan's spelling
    errorCode: str = ""  # noqa: N815 - Dhan's spelling


class _Claims(Struct):
    exp: int


def expires_s(token: str) -> int | None:
    """When a token ends, seconds since 1970, as it says itself; None when it does not."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        return None


class DhanRest:
    """Dhan's REST at ``rest_url``. ``clock``: monotonic seconds, for the circuit breakers.

    Raises ValueError for an address that is none. A session is opened with the first call.
    """

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        self.endpoints = Endpoints.of(rest_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._clock = clock
        self.breakers: dict[str, CircuitBreaker] = {}

    async def generate(self, client_id: str, pin: str, password: str) -> str:
        """Make a token with a one-time password. Raises BrokerError.

        A refusal may mean a wrong PIN, or a password that was used already: which of them, Dhan
        says in words only.
        """
        query = {"dhanClientId": client_id, "pin": pin, "totp": password}
        secrets = Redactor((pin, password))
        url = self.endpoints.generate.with_query(query)
        status, body = await self._call("POST", url, {}, secrets)
        token = _token(body) if status == 200 else ""
        if token:
            return token
        detail = f"login: {status} {_words(body, secrets)}".strip()
        if status in (429, 404) or status >= 500:
            raise BrokerError(_refusal(status, detail))
        raise BrokerError(Ending("login_refused", BackOff(LOGIN_WAIT_S), detail))

    async def renew(self, client_id: str, token: str) -> str:
        """Make a token for 24 hours more from one that has not ended, which ends by it.

        Raises BrokerError; only tokens made on Dhan's page can be renewed.
        """
        headers = {"access-token": _carried(token), "dhanClientId": client_id}
        secrets = Redactor((token,))
        status, body = await self._call("GET", self.endpoints.renew, headers, secrets)
        renewed = _token(body) if status == 200 else ""
        if not renewed:
            raise BrokerError(_refusal(status, f"renewal: {status} {_words(body, secrets)}"))
        return renewed

    async def fetch(self, url: str) -> bytes:
        """The bytes of a public file. Raises BrokerError."""
        status, body = await self._call("GET", URL(url), {}, Redactor(), MAX_MASTER_BYTES)
        if status != 200:
            raise BrokerError(_refusal(status, f"{url}: {status}"))
        return body

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        secrets: Redactor,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> tuple[int, bytes]:
        """One request behind the breaker of its host."""
        host = url.host or ""
        breaker = self.breakers.setdefault(host, CircuitBreaker(self._clock))
        ticket = breaker.begin()
        if ticket is None:
            wait_s = breaker.retry_in_s
            raise BrokerError(
                Ending("unreachable", BackOff(), f"not asked: {host} fails, wait {wait_s:.0f} s")
            )
        tell = breaker.abandoned
        try:
            status, body = await self._exchange(method, url, headers, max_bytes)
            tell = breaker.failed if status >= 500 else breaker.succeeded
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tell = breaker.failed
            detail = secrets.text(f"{host}: {type(error).__name__}: {error}")[:MAX_WORDS]
            raise BrokerError(_fault(error, detail)) from None
        finally:
            tell(ticket)
        return status, body

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], max_bytes: int
    ) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        body = bytearray()
        async with self._session.request(
            method, url, headers=headers, allow_redirects=False
        ) as response:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise aiohttp.ClientPayloadError(f"over {max_bytes} bytes")
            return response.status, bytes(body)


def _checked(rest_url: str) -> URL:
    try:
        url = URL(rest_url.rstrip("/"))
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.user:
        raise ValueError(
            "DHAN_REST_URL: expected http(s)://host[:port][/path], without credentials or query"
        )
    return url


def _carried(token: str) -> str:
    """The token, if a header can carry it."""
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    raise BrokerError(Ending(*_REFUSED, "the access token is empty or no token"))


def _token(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return answer.accessToken or answer.token


def _words(body: bytes, secrets: Redactor) -> str:
    """Dhan's own words, printable and without what must not be shown."""
    try:
        said = msgspec.json.decode(body, type=_Words)
        words = f"{said.errorCode} {said.errorMessage or said.message or said.remarks}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = body[:800].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else " " for c in secrets.text(words))
    return shown[:MAX_WORDS].strip()


def _refusal(status: int, detail: str) -> Ending:
    return Ending(*_REFUSALS.get(status, _UNREACHABLE), detail.strip())


def _fault(error: Exception, detail: str) -> Ending:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        advice = "the server's certificate is not trusted: check the address and the clock"
        return Ending("untrusted", Fatal(advice), detail)
    return Ending(*_UNREACHABLE, detail)
