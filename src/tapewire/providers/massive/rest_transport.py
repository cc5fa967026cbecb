"""One GET to Massive's REST, made to succeed or to fail with a reason.

Rate limit, retries, circuit breaker, switched-off capabilities and the key's safety live here;
what is asked and what comes back is ``rest.py``. Rules from ``reference/massive.md`` 2.

Errors::

    RestError
    ├── NotEntitled     403: the plan does not include it; switched off, asked again slowly
    ├── NotFound        404 in JSON: the provider does not know the thing
    ├── UnknownRoute    404 in plain text: the provider does not know the path
    ├── CallRejected    any other refusal; the same call would be refused again
    ├── Malformed       an answer that is not what the path is documented to give
    └── TryLater        nothing usable after all tries; ``retry_after_s`` where known
        └── CircuitOpen not even tried
    RefusedByProvider (``runtime/service.py``)  401: the key is not accepted

How many requests an outage can cost: until the breaker opens (5 failures within 30 s) at most
``5 + concurrent - 1``, since no more than ``concurrent`` are on their way at once; from then on
one probe after 10, 20, 40, 60, 60, ... seconds. All others fail without a request. That holds
for each process; single flight (``caches/market_data_cache.py``) lets one process ask for all.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from msgspec import Struct, field
from yarl import URL

from tapewire.providers.circuit_breaker import CircuitBreaker
from tapewire.providers.http_text import base_of, fits_header, words
from tapewire.providers.massive.rest_limits import Alone, SharedLimits
from tapewire.providers.massive.rest_models import decode_envelope
from tapewire.providers.token_bucket import RateLimit, TokenBucket
from tapewire.runtime.service import RefusedByProvider, UsageError

PAID_PLAN = RateLimit(calls=90, per_s=1.0, burst=9)
"""At most 99 calls in any second: the provider recommends staying under 100."""

BASIC_PLAN = RateLimit(calls=5, per_s=61.0)
"""The free plan's 5 calls a minute, evenly spaced, with a second to spare."""

RETRIED = frozenset({0, 413, 429, 499, 500, 502, 503, 504})
"""Statuses worth another try (the official client's set); 0 stands for no answer at all."""

FAILURES = RETRIED - {413, 429}
"""What the circuit breaker counts. 413 and 429 are answers of a provider that is well."""

UNREACHABLE = 0


class RestError(Exception):
    """A call gave no data."""


class NotEntitled(RestError):  # noqa: N818 - it says what happened
    """The plan does not include this call."""


class NotFound(RestError):  # noqa: N818 - it says what happened
    """The provider does not know the ticker or date that was asked for."""


class UnknownRoute(RestError):  # noqa: N818 - it says what happened
    """The provider does not know the path: a wrong base URL, or a call that was withdrawn."""


class CallRejected(RestError):  # noqa: N818 - it says what happened
    """The provider refuses this very call."""


class Malformed(RestError):  # noqa: N818 - it says what happened
    """The answer cannot be read."""


class TryLater(RestError):  # noqa: N818 - it says what happened
    """No answer after all tries. ``retry_after_s``: what the provider or the breaker asks for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CircuitOpen(TryLater):
    """Not tried: the provider failed too often just now."""


class RestSettings(Struct, frozen=True):
    """Bounds of the REST side; whoever calls waits, or gets an error, when one is hit.

    ``throttled_backoff_s`` is the first wait after a 429 that names none;
    ``longest_retry_after_s`` the longest wait the provider may ask for before the call gives up
    with `TryLater`; ``capability_probe_s`` how long a call stays off after a 403, and
    ``key_probe_s`` all of them after a 401; ``concurrent`` requests are on their way at once;
    ``max_body_bytes`` counts after decompression.
    """

    limit: RateLimit = PAID_PLAN
    tries: int = 4
    backoff_s: float = 0.2
    throttled_backoff_s: float = 5.0
    longest_backoff_s: float = 30.0
    longest_retry_after_s: float = 60.0
    timeout_s: float = 60.0
    capability_probe_s: float = 3600.0
    key_probe_s: float = 60.0
    concurrent: int = 8
    max_body_bytes: int = 64 * 1024 * 1024
    max_pages: int = 1000


class RestCounts(Struct):
    """Everything that happened since the start. ``answers``: requests by HTTP status, 0 for none.

    ``switched_off``: calls not made because the plan does not include them, or because the key
    was refused; ``held_back``: calls not made because the provider asked for a longer wait;
    ``unreadable_rows``: rows left out of an answer that was otherwise read.
    """

    answers: Counter[int] = field(default_factory=Counter)
    retries: int = 0
    received_bytes: int = 0
    switched_off: int = 0
    held_back: int = 0
    foreign_pages: int = 0
    unreadable_rows: int = 0


class Answer(Struct):
    """What came back; status `UNREACHABLE` with the reason as body when nothing did."""

    status: int
    content_type: str
    body: bytes
    retry_after_s: float | None = None

    @property
    def text(self) -> str:
        """The provider's own words, at most 200 printable characters."""
        try:
            return words(decode_envelope(self.body).text)
        except msgspec.DecodeError:
            return words(self.body[:800].decode("utf-8", "replace"))


class RestTransport:
    """GETs one origin with a key, within a rate limit and behind a circuit breaker."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        session: aiohttp.ClientSession,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        settings: RestSettings = RestSettings(),  # noqa: B008 - frozen
        shared: SharedLimits | None = None,
    ) -> None:
        self.base = _checked_base(base_url)
        self.settings = settings
        self.counts = RestCounts()
        self.breaker = CircuitBreaker(clock)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        self._keyed = {**self._headers, "Authorization": f"Bearer {_checked_key(key)}"}
        self._session = session
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._bucket = TokenBucket(settings.limit, clock)
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._shared = shared or Alone()
        self._places = asyncio.Semaphore(settings.concurrent)
        self._off_until: dict[str, float] = {}
        self._key_off_until = self._paused_until = clock()

    def is_ours(self, url: URL) -> bool:
        """Whether scheme, host and port are those of the base, so that the key may go there."""
        return url.origin() == self.base.origin()

    async def get(self, call: str, url: URL) -> bytes:
        """Return the body of a 200. ``call`` names the capability; raises the errors above."""
        return (await self.answer(call, url)).body

    async def answer(self, call: str, url: URL) -> Answer:
        """As `get`, with the content type."""
        tries = 0
        while True:
            answer = await self._attempt(call, url)
            tries += 1
            if answer.status == 200:
                self._off_until.pop(call, None)
                return answer
            if answer.status not in RETRIED:
                raise await self.refusal(call, url, answer)
            await self._hold_all_back(tries, answer)
            if tries >= self.settings.tries or self._asks_too_much(answer):
                raise TryLater(
                    f"{call}: no data from {url.path}, tried {tries} times; last: "
                    f"{_seen(answer)}; try again later",
                    answer.retry_after_s,
                )
            self.counts.retries += 1
            if not _holds_all(answer):
                await self._sleep(self._delay_s(tries, answer))

    async def refusal(self, call: str, url: URL, answer: Answer) -> Exception:
        """Return the error for a status that is final; a 403 switches the call off."""
        seen = f"{call}: {url.path} answered {_seen(answer)}"
        if not self.is_ours(url):
            return CallRejected(
                f"{seen}; this page is on {url.origin()}, where the key is never sent: "
                f"set the base URL to it if it is the provider's"
            )
        if answer.status == 401:
            self._key_off_until = self._clock() + self.settings.key_probe_s
            return RefusedByProvider(f"{seen}; the provider does not accept the key: check it")
        if answer.status == 403:
            self._off_until[call] = self._clock() + self.settings.capability_probe_s
            await self._shared.switch_off(call, self.settings.capability_probe_s)
            return NotEntitled(f"{seen}; the plan does not include it")
        if answer.status != 404:
            return CallRejected(f"{seen}; expected data")
        if "json" in answer.content_type:
            return NotFound(seen)
        return UnknownRoute(f"{seen}; check the base URL {self.base}")

    async def _attempt(self, call: str, url: URL) -> Answer:
        """One request, in its turn; raises without one where none may be made now."""
        self._check_circuit(call)
        async with self._places:
            self._check_circuit(call)
            await self._await_turn(call)
            ticket = self.breaker.begin()
            if ticket is None:
                raise self._circuit_open(call)
            tell = self.breaker.abandoned
            try:
                answer = await self._exchange(url)
                tell = self.breaker.failed if answer.status in FAILURES else self.breaker.succeeded
            finally:
                tell(ticket)
        self.counts.answers[answer.status] += 1
        return answer

    def _check_circuit(self, call: str) -> None:
        """Fail before waiting for a turn that would not come."""
        if self.breaker.retry_in_s > 0:
            self.breaker.counts.rejected += 1
            raise self._circuit_open(call)

    def _circuit_open(self, call: str) -> CircuitOpen:
        retry_in_s = self.breaker.retry_in_s
        return CircuitOpen(
            f"{call}: not tried, {self.base.host} keeps failing; next look in {retry_in_s:.0f} s",
            retry_in_s,
        )

    async def _await_turn(self, call: str) -> None:
        """Wait for a token; raise where the plan, the key or the provider's patience forbid."""
        off_s, pause_s = await self._shared.look(call)
        now = self._clock()
        if (key_off_s := self._key_off_until - now) > 0:
            self.counts.switched_off += 1
            raise RefusedByProvider(
                f"{call}: not asked, the key was refused; asked again in {key_off_s:.0f} s"
            )
        if (off_s := max(off_s, self._off_until.get(call, now) - now)) > 0:
            self.counts.switched_off += 1
            raise NotEntitled(
                f"{call}: off since the provider answered 403; asked again in {off_s:.0f} s"
            )
        longest_s = max(pause_s, self._paused_until - now)
        if longest_s > self.settings.longest_retry_after_s:
            self.counts.held_back += 1
            raise TryLater(f"{call}: the provider asked to wait {longest_s:.0f} s", longest_s)
        if pause_s > 0:
            self._bucket.pause(pause_s)
        if (wait_s := self._bucket.reserve()) > 0:
            await self._sleep(wait_s)

    async def _exchange(self, url: URL) -> Answer:
        headers = self._keyed if self.is_ours(url) else self._headers
        try:
            async with self._session.get(
                url, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                body = await self._read(response)
                asked_s = _retry_after_s(response.headers)
                return Answer(response.status, response.content_type, body, asked_s)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            return Answer(UNREACHABLE, "text/plain", reason.encode())

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            self.counts.received_bytes += len(chunk)
            body += chunk
            if len(body) > self.settings.max_body_bytes:
                raise Malformed(
                    f"{response.url.path} sent over {self.settings.max_body_bytes} bytes; "
                    "ask for less, or raise max_body_bytes"
                )
        return bytes(body)

    def _asks_too_much(self, answer: Answer) -> bool:
        return (answer.retry_after_s or 0.0) > self.settings.longest_retry_after_s

    async def _hold_all_back(self, tries: int, answer: Answer) -> None:
        """After a 429, or a wait asked for, every call of every process waits."""
        if not _holds_all(answer):
            return
        delay_s = self._delay_s(tries, answer)
        self._paused_until = max(self._paused_until, self._clock() + delay_s)
        if delay_s <= self.settings.longest_retry_after_s:
            self._bucket.pause(delay_s)
        await self._shared.pause(delay_s)

    def _delay_s(self, tries: int, answer: Answer) -> float:
        settings = self.settings
        if answer.retry_after_s is not None:
            return answer.retry_after_s + settings.backoff_s * self._jitter()
        first_s = settings.throttled_backoff_s if answer.status == 429 else settings.backoff_s
        longest_s = min(first_s * 2.0 ** (tries - 1), settings.longest_backoff_s)
        return longest_s * (0.5 + 0.5 * self._jitter())


def _holds_all(answer: Answer) -> bool:
    return answer.status == 429 or answer.retry_after_s is not None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date measured against the answer's own Date."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
        return max((until - parsedate_to_datetime(headers["Date"])).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError):
        return None  # absent or unreadable: our own back-off holds


def _seen(answer: Answer) -> str:
    status = f"{answer.status}" if answer.status else "nothing"
    return f"{status} ({answer.text})" if answer.body else status


def _checked_base(base_url: str) -> URL:
    url = base_of(base_url)
    if url is None:
        raise UsageError(
            f"REST address {base_url!r}: expected http(s)://host[:port][/path], "
            "without credentials or query"
        )
    return url


def _checked_key(key: str) -> str:
    if not fits_header(key):
        raise UsageError(
            "the provider's key is empty or holds characters that a header cannot carry; "
            "set it to the key as the provider shows it"
        )
    return key
