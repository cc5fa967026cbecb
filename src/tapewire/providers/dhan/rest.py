"""Dhan's REST as far as the feed needs it: a token made or renewed, and the instrument master.

Token, PIN and one-time password travel in addresses and headers, and are never in an error.
Source: ``brokers.md`` 3.1.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_rest import TIMEOUT_S, BrokerRest, checked_base
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.http_text import fits_header, words
from tapewire.runtime.redact import Redactor

REST_URL: Final = "https://api.dhan.co"
_AUTH_URL: Final = "https://auth.dhan.co"
_FILES_URL: Final = "https://images.dhan.co"
GENERATE_PATH: Final = "/app/generateAccessToken"
RENEW_PATH: Final = "/v2/RenewToken"
MASTER_PATH: Final = "/api-data/api-scrip-master.csv"

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


class Endpoints(Struct, frozen=True):
    """Where what is; at Dhan on three hosts, elsewhere (a simulator) on one."""

    generate: URL
    renew: URL
    master: URL

    @classmethod
    def of(cls, rest_url: str) -> "Endpoints":
        """From ``DHAN_REST_URL``; raises ValueError for an address that is none."""
        base = checked_base(rest_url, "DHAN_REST_URL")
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


class DhanRest(BrokerRest):
    """Dhan's REST at ``rest_url``; raises ValueError for an address that is none."""

    max_file_bytes = 256 * 1024 * 1024
    """The file has about 30 MB."""

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        super().__init__(clock=clock, timeout_s=timeout_s)
        self.endpoints = Endpoints.of(rest_url)

    async def generate(self, client_id: str, pin: str, password: str) -> str:
        """Make a token with a one-time password. Raises BrokerError.

        A refusal may mean a wrong PIN, or a password that was used already: which of them, Dhan
        says in words only.
        """
        query = {"dhanClientId": client_id, "pin": pin, "totp": password}
        secrets = Redactor((pin, password))
        url = self.endpoints.generate.with_query(query)
        status, body = await self._ask("POST", url, redactor=secrets)
        token = _token(body) if status == 200 else ""
        if token:
            return token
        detail = f"login: {status} {_said(body, secrets)}".strip()
        if status in (429, 404) or status >= 500:
            raise BrokerError(self.refusal(status, detail))
        raise BrokerError(Ending("login_refused", BackOff(LOGIN_WAIT_S), detail))

    async def renew(self, client_id: str, token: str) -> str:
        """Make a token for 24 hours more from one that has not ended, which ends by it.

        Raises BrokerError; only tokens made on Dhan's page can be renewed.
        """
        headers = {"access-token": _carried(token), "dhanClientId": client_id}
        secrets = Redactor((token,))
        status, body = await self._ask("GET", self.endpoints.renew, headers, redactor=secrets)
        renewed = _token(body) if status == 200 else ""
        if not renewed:
            raise BrokerError(self.refusal(status, f"renewal: {status} {_said(body, secrets)}"))
        return renewed

    def refusal(self, status: int, detail: str) -> Ending:
        """What an HTTP status that is no success means."""
        return Ending(*_REFUSALS.get(status, ("unreachable", BackOff())), detail.strip())


def _carried(token: str) -> str:
    """The token, if a header can carry it."""
    if fits_header(token):
        return token
    raise BrokerError(Ending(*_REFUSED, "the access token is empty or no token"))


def _token(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return answer.accessToken or answer.token


def _said(body: bytes, secrets: Redactor) -> str:
    """Dhan's own words, without what must not be shown."""
    try:
        said = msgspec.json.decode(body, type=_Words)
        text = f"{said.errorCode} {said.errorMessage or said.message or said.remarks}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[:800].decode("utf-8", "replace")
    return words(secrets.text(text))
