"""Two calls of Upstox's REST: where to connect, and the file of all instruments.

Neither the token nor the single-use address is ever in an error. Source: ``brokers.md`` 1.1 and
1.2.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_rest import TIMEOUT_S, BrokerRest, checked_base
from tapewire.providers.http_text import fits_header, words
from tapewire.providers.upstox.protocol import End, ending, refused
from tapewire.runtime.redact import Redactor

REST_URL: Final = "https://api.upstox.com"
AUTHORIZE_PATH: Final = "/v3/feed/market-data-feed/authorize"

MASTER_ORIGIN: Final = "https://assets.upstox.com"
MASTER_PATH: Final = "/market-quote/instruments/exchange/complete.json.gz"


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


class UpstoxRest(BrokerRest):
    """Upstox's REST at ``rest_url``; raises ValueError for an address that is none."""

    max_file_bytes = 128 * 1024 * 1024
    """Of the compressed file, which has about 5 MB."""

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        super().__init__(clock=clock, timeout_s=timeout_s)
        self._base = checked_base(rest_url, "UPSTOX_REST_URL")

    async def feed_address(self, token: str) -> str:
        """Ask for a single-use address of the feed. Raises BrokerError."""
        if not token:
            raise BrokerError(ending(End.NO_TOKEN))
        if not fits_header(token):
            detail = "the access token has characters that a header cannot carry"
            raise BrokerError(ending(End.TOKEN_REFUSED, detail))
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        url = self._base.joinpath(*AUTHORIZE_PATH.strip("/").split("/"))
        redactor = Redactor((token,))
        status, body = await self._ask("GET", url, headers, redactor=redactor)
        if status != 200:
            raise BrokerError(refused(status, f"authorize: {status} {_said(body, redactor)}"))
        try:
            return feed_url(body, plain=self._base.scheme == "http")
        except ValueError as error:
            raise BrokerError(ending(End.UNREADABLE, str(error))) from None

    def refusal(self, status: int, detail: str) -> Ending:
        """What an HTTP status that is no success means."""
        return refused(status, detail)


def _said(body: bytes, redactor: Redactor) -> str:
    """The provider's own words, without the token."""
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
        text = errors[0].message if errors else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[:800].decode("utf-8", "replace")
    return words(redactor.text(text))
