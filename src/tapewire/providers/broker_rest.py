"""What the REST of all brokers has alike; each broker's ``rest.py`` has its calls and tables.

An answer that is not the data is a `BrokerError` whose ending says what follows; no secret is
ever in one. Redirects are not followed, since credentials would go along.
"""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple

import aiohttp
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.disconnects import UNTRUSTED, BackOff
from tapewire.providers.http_text import base_of, words
from tapewire.runtime.redact import Redactor

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 1024 * 1024

_NO_SECRETS: Final = Redactor()


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    body: bytes


class BrokerRest(ABC):
    """Requests to one broker's hosts, each host behind a circuit breaker of its own.

    ``clock``: monotonic seconds, for the breakers. A session is opened with the first call.
    An answer beyond ``max_bytes`` (of a file: ``max_file_bytes``) is left unread, as unreachable.
    """

    max_file_bytes: ClassVar[int]

    def __init__(self, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S) -> None:
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self.breakers: dict[str, CircuitBreaker] = {}

    @abstractmethod
    def refusal(self, status: int, detail: str) -> Ending:
        """What an HTTP status that is no success means."""

    async def fetch(self, url: str) -> bytes:
        """The bytes of a public file, as they lie there. Raises BrokerError."""
        status, body = await self._ask("GET", URL(url), max_bytes=self.max_file_bytes)
        if status != 200:
            raise BrokerError(self.refusal(status, f"{url}: {status}"))
        return body

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        *,
        redactor: Redactor = _NO_SECRETS,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """One request, unless its host keeps failing. ``redactor`` knows what was sent along."""
        host = url.host or ""
        breaker = self.breakers.setdefault(host, CircuitBreaker(self._clock))
        ticket = breaker.begin()
        if ticket is None:
            said = f"not asked: {host} keeps failing, wait {breaker.retry_in_s:.0f} s"
            raise BrokerError(Ending("unreachable", BackOff(), said))
        tell = breaker.abandoned
        try:
            answer = await self._exchange(method, url, headers, data, max_bytes)
            tell = breaker.failed if answer.status >= 500 else breaker.succeeded
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            tell = breaker.failed
            said = words(redactor.text(f"{host}: {type(error).__name__}: {error}"))
            raise BrokerError(unanswered(error, said)) from None
        finally:
            tell(ticket)
        return answer

    async def _exchange(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        max_bytes: int,
    ) -> Answer:
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
            return Answer(response.status, bytes(body))


def checked_base(rest_url: str, setting: str) -> URL:
    """The REST address of a setting; ValueError, which does not show it, where it is none."""
    base = base_of(rest_url)
    if base is None:
        raise ValueError(
            f"{setting}: expected http(s)://host[:port][/path], without credentials or query"
        )
    return base


def unanswered(error: Exception, said: str) -> Ending:
    """Why there is no answer at all."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Ending("untrusted", UNTRUSTED, said)
    return Ending("unreachable", BackOff(), said)
