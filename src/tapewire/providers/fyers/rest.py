"""Fyers' REST calls: exchange tokens of tickers, an access token for a code, public files.

An answer that is not the data is a `BrokerError` whose ending says what follows. No token,
code or secret is ever in one. Redirects are not followed, since the token would go along.
Source: ``brokers.md`` 2.1.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from msgspec import Struct, field
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.disconnects import BackOff, Fatal
from tapewire.providers.fyers.notices import detail, refused
from tapewire.providers.fyers.token import AccessToken
from tapewire.runtime.redact import Redactor

_T = TypeVar("_T")

REST_URL: Final = "https://api-t1.fyers.in"
SYMBOL_TOKEN_PATH: Final = "/data/symbol-token"
VALIDATE_PATH: Final = "/api/v3/validate-authcode"

MASTER_ORIGIN: Final = "https://public.fyers.in"
MASTER_PATH: Final = "/sym_details/"

MAX_SYMBOLS: Final = 500
"""Tickers of one call."""

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_MASTER_BYTES: Final = 256 * 1024 * 1024


class _Answer(Struct):
    """What every answer has; Fyers says ``error`` in the body, whatever the status."""

    s: str = "ok"
    code: int = 0
    message: str = ""


class _SymbolTokens(Struct):
    valid: dict[str, str | int] = field(name="validSymbol", default_factory=dict)


class _Validated(Struct):
    access_token: str


def master_url(rest_url: str, file: str) -> str:
    """Where a public file is: a host of their own beside Fyers' REST, else the REST's."""
    is_fyers = URL(rest_url).origin() == URL(REST_URL)
    return f"{MASTER_ORIGIN if is_fyers else rest_url.rstrip('/')}{MASTER_PATH}{file}"


class FyersRest:
    """Fyers' REST at ``rest_url``. ``clock``: monotonic seconds, for the circuit breaker.

    Raises ValueError for an address that is none. A session is opened with the first call.
    """

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        self._base = _checked(rest_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self.breaker = CircuitBreaker(clock)

    async def symbol_tokens(self, token: AccessToken, tickers: Sequence[str]) -> dict[str, str]:
        """The fyTokens of tickers (``NSE:RELIANCE-EQ``), 500 a call; unknown ones have none.

        Raises BrokerError.
        """
        found: dict[str, str | int] = {}
        redactor = Redactor((token.jwt, token.hsm_key))
        headers = {"Authorization": token.jwt}
        rest = iter(dict.fromkeys(tickers))
        while batch := list(islice(rest, MAX_SYMBOLS)):
            body = await self._post(SYMBOL_TOKEN_PATH, {"symbols": batch}, headers, redactor)
            found |= _decoded(body, _SymbolTokens, "validSymbol").valid
        return {ticker: str(fy_token) for ticker, fy_token in found.items()}

    async def access_token(self, app_id: str, secret: str, code: str) -> str:
        """Exchange the code of a login (``auth_code``) for ``appid:jwt``. Raises BrokerError."""
        app_id_hash = sha256(f"{app_id}:{secret}".encode()).hexdigest()
        asked = {"grant_type": "authorization_code", "appIdHash": app_id_hash, "code": code}
        redactor = Redactor((secret, code, app_id_hash))
        body = await self._post(VALIDATE_PATH, asked, {}, redactor)
        return f"{app_id}:{_decoded(body, _Validated, 'access_token').access_token}"

    async def fetch(self, url: str) -> bytes:
        """The bytes of a public file. Raises BrokerError."""
        status, body = await self._call("GET", URL(url), MAX_MASTER_BYTES, Redactor())
        if status != 200:
            raise BrokerError(refused(status, f"{url}: {status}"))
        return body

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(
        self, path: str, asked: Any, headers: Mapping[str, str], redactor: Redactor
    ) -> bytes:
        """The body of an answer that says ok."""
        url = self._base.joinpath(*path.strip("/").split("/"))
        sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        data = msgspec.json.encode(asked)
        status, body = await self._call("POST", url, MAX_ANSWER_BYTES, redactor, sent, data)
        answer = _said(body)
        if status != 200 or answer.s != "ok":
            words = redactor.text(f"{path}: {status} {answer.code} {answer.message}")
            raise BrokerError(refused(status, words, answer.code))
        return body

    async def _call(
        self,
        method: str,
        url: URL,
        max_bytes: int,
        redactor: Redactor,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, bytes]:
        ticket = self.breaker.begin()
        if ticket is None:
            wait_s = self.breaker.retry_in_s
            said = f"not asked: {url.host} keeps failing, wait {wait_s:.0f} s"
            raise BrokerError(Ending("unreachable", BackOff(), said))
        tell = self.breaker.abandoned
        try:
            status, body = await self._exchange(method, url, headers, data, max_bytes)
            tell = self.breaker.failed if status >= 500 else self.breaker.succeeded
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tell = self.breaker.failed
            raise BrokerError(_fault(url, error, redactor)) from None
        finally:
            tell(ticket)
        return status, body

    async def _exchange(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        max_bytes: int,
    ) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        body = bytearray()
        async with self._session.request(
            method, url, headers=headers, data=data, allow_redirects=False
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
            "FYERS_REST_URL: expected http(s)://host[:port][/path], without credentials or query"
        )
    return url


def _said(body: bytes) -> _Answer:
    """What an answer says of itself; of one that is no JSON its first words."""
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer("unreadable", 0, body[:200].decode("utf-8", "replace"))


def _decoded(body: bytes, kind: type[_T], expected: str) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = f"the answer cannot be read: expected {expected} in JSON"
        raise BrokerError(Ending("unreadable", BackOff(60.0), said)) from None


def _fault(url: URL, error: Exception, redactor: Redactor) -> Ending:
    said = detail(redactor.text(f"{url.host}: {type(error).__name__}: {error}"))
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        advice = "the server's certificate is not trusted: check the address and this clock"
        return Ending("untrusted", Fatal(advice), said)
    return Ending("unreachable", BackOff(), said)
