"""Fyers' REST calls: exchange tokens of tickers, an access token for a code, public files.

No token, code or secret is ever in an error. Source: ``brokers.md`` 2.1.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, field
from yarl import URL

from tapewire.providers.broker import BrokerError, Ending
from tapewire.providers.broker_rest import TIMEOUT_S, BrokerRest, checked_base
from tapewire.providers.disconnects import BackOff
from tapewire.providers.fyers.notices import refused
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


class FyersRest(BrokerRest):
    """Fyers' REST at ``rest_url``; raises ValueError for an address that is none."""

    max_file_bytes = 256 * 1024 * 1024

    def __init__(
        self, rest_url: str, *, clock: Callable[[], float], timeout_s: float = TIMEOUT_S
    ) -> None:
        super().__init__(clock=clock, timeout_s=timeout_s)
        self._base = checked_base(rest_url, "FYERS_REST_URL")

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

    def refusal(self, status: int, detail: str) -> Ending:
        """What an HTTP status that is no success means."""
        return refused(status, detail)

    async def _post(
        self, path: str, asked: Any, headers: Mapping[str, str], redactor: Redactor
    ) -> bytes:
        """The body of an answer that says ok."""
        url = self._base.joinpath(*path.strip("/").split("/"))
        sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        data = msgspec.json.encode(asked)
        status, body = await self._ask("POST", url, sent, data, redactor=redactor)
        answer = _said(body)
        if status != 200 or answer.s != "ok":
            words = redactor.text(f"{path}: {status} {answer.code} {answer.message}")
            raise BrokerError(refused(status, words, answer.code))
        return body


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
