"""Two calls of Upstox's REST: where to connect, and the file of all instruments.

An answer that is not the data is a `BrokerError` whose ending says what follows. Neither the
token nor the single-use address is ever in one. Redirects are not followed, since the token
would go along. Source: ``brokers.md`` 1.1 and 1.2.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.upstox.messages import MAX_ERROR_CHARACTERS
from tapewire.providers.upstox.protocol import End, ending, refused
from tapewire.runtime.redact import Redactor

REST_URL: Final = "https://api.upstox.com"
AUTHORIZE_PATH: Final = "/v3/feed/market-data-feed/authorize"

MASTER_ORIGIN: Final = "https://assets.upstox.com"
MASTER_PATH: Final = "/market-quote/instruments/exchange/complete.json.gz"

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_MASTER_BYTES: Final = 128 * 1024 * 1024
"""Of the compressed file, which has about 5 MB."""


class _Place(Struct):
    authorized_redirect_uri: str


class _Authorized(Struct):
    data: _Place


class _Error(Struct):
    message: str = ""


class _Errors(Struct):
    errors: list[_Error] = []


def master_url(rest_url: str) -> str:
    """Where the instruments are: a host of their own beside Upstox's REST, else the REST's."""
    origin = MASTER_ORIGIN if URL(rest_url).origin() == URL(REST_URL) else rest_url.rstrip("/")
    return origin + MASTER_PATH


def feed_url(answer: bytes, *, plain: bool = False) -> str:
    """Read the single-use address out of the authorize call's answer.

    Raises ValueError when there is none, or it is not a ``wss://`` one (``plain``: or ``ws://``);
    the error does not show the address, which is a credential.
    """
    try:
        url = msgspec.json.decode(answer, type=_Authorized).data.authorized_redirect_uri
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("authorize: expected data.authorized_redirect_uri in JSON") from None
    schemes = ("wss://", "ws://") if plain else ("wss://",)
    if not url.startswith(schemes):
        raise ValueError(f"authorize: expected an address that begins with {' or '.join(schemes)}")
    return url


class UpstoxRest:
    """Upstox's REST at ``rest_url``. ``clock``: monotonic seconds, for the circuit breaker.

    Raises ValueError for an address that is none. A session is opened with the first call.
    """

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        self._base = _checked(rest_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self.breaker = CircuitBreaker(clock)

    async def feed_address(self, token: str) -> str:
        """Ask for a single-use address of the feed. Raises BrokerError."""
        if not token:
            raise BrokerError(ending(End.NO_TOKEN))
        if not token.isascii() or not token.isprintable() or " " in token:
            detail = "the access token has characters that a header cannot carry"
            raise BrokerError(ending(End.TOKEN_REFUSED, detail))
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        url = self._base.joinpath(*AUTHORIZE_PATH.strip("/").split("/"))
        redactor = Redactor((token,))
        status, body = await self._get(url, headers, MAX_ANSWER_BYTES, redactor)
        if status != 200:
            raise BrokerError(refused(status, f"authorize: {status} {_words(body, redactor)}"))
        try:
            return feed_url(body, plain=self._base.scheme == "http")
        except ValueError as error:
            raise BrokerError(ending(End.UNREADABLE, str(error))) from None

    async def fetch(self, url: str) -> bytes:
        """The bytes of a public file, as they lie there. Raises BrokerError."""
        status, body = await self._get(URL(url), {}, MAX_MASTER_BYTES, Redactor())
        if status != 200:
            raise BrokerError(refused(status, f"{url}: {status}"))
        return body

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(
        self, url: URL, headers: Mapping[str, str], max_bytes: int, redactor: Redactor
    ) -> tuple[int, bytes]:
        ticket = self.breaker.begin()
        if ticket is None:
            wait_s = self.breaker.retry_in_s
            raise BrokerError(
                ending(End.UNREACHABLE, f"not asked: {url.host} keeps failing, wait {wait_s:.0f} s")
            )
        tell = self.breaker.abandoned
        try:
            status, body = await self._exchange(url, headers, max_bytes)
            tell = self.breaker.failed if status >= 500 else self.breaker.succeeded
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tell = self.breaker.failed
            raise BrokerError(_fault(url, error, redactor)) from None
        finally:
            tell(ticket)
        return status, body

    async def _exchange(
        self, url: URL, headers: Mapping[str, str], max_bytes: int
    ) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        body = bytearray()
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
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
            "UPSTOX_REST_URL: expected http(s)://host[:port][/path], without credentials or query"
        )
    return url


def _fault(url: URL, error: Exception, redactor: Redactor) -> Ending:
    untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError)
    detail = redactor.text(f"{url.host}: {type(error).__name__}: {error}")
    end = End.UNTRUSTED if untrusted else End.UNREACHABLE
    return ending(end, detail[:MAX_ERROR_CHARACTERS])


def _words(body: bytes, redactor: Redactor) -> str:
    """The provider's own words, printable and without the token."""
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
        words = errors[0].message if errors else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = body[:800].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else " " for c in redactor.text(words))
    return shown[:MAX_ERROR_CHARACTERS].strip()
