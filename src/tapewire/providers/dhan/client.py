"""The Dhan account: its tokens, the feed's address, its connections and its instruments.

A token is either given, and read again before every connection, or made here from PIN and
one-time password; the second kind is kept until it ends or is refused, since Dhan makes one in
two minutes at most and locks who tries wrongly too often.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from yarl import URL

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import Address, BrokerError, Ending, fingerprint
from tapewire.providers.dhan.master import parse
from tapewire.providers.dhan.protocol import (
    BROKER,
    MAX_INSTRUMENTS,
    DhanConnection,
    upgrade_refused,
)
from tapewire.providers.dhan.rest import REST_URL, DhanRest, expires_s
from tapewire.providers.dhan.subscriptions import Mode
from tapewire.providers.dhan.totp import secret_bytes, totp
from tapewire.providers.disconnects import Fatal, RefreshToken
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.redact import hide

_log: Final = logging.getLogger(__name__)

WS_URL: Final = "wss://api-feed.dhan.co"

RENEW_WITHIN_S: Final = 3_600
"""A token that has less left than this is renewed or made anew before it is used. A renewed one
is known to this process only: what was given ends by it, and so is renewed no earlier."""

MAX_LOGINS: Final = 3
"""So many logins in a row may be refused: Dhan locks the account of who goes on."""


class DhanAccount(Struct, frozen=True, kw_only=True):
    """Who connects: a token that is read again each time, or PIN and TOTP secret instead.

    ``read_token`` gives the present token, empty where there is none.
    """

    client_id: str
    read_token: Callable[[], str] = str
    pin: str = ""
    totp_secret: str = ""

    def __repr__(self) -> str:
        return f"DhanAccount(client_id={self.client_id!r})"


class DhanBroker:
    """One Dhan account; a ``Broker``. ``cache`` keeps the instrument master.

    ``clock`` is monotonic seconds, ``now_s`` the wall clock since 1970. ``mode``,
    ``clock_offset_s`` and ``max_instruments`` are those of `DhanConnection`. ``skipped`` counts
    rows of the instrument master that were left out, by reason.
    """

    name = BROKER

    def __init__(
        self,
        account: DhanAccount,
        cache: InstrumentCache,
        *,
        clock: Callable[[], float],
        now_s: Callable[[], float],
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
        mode: Mode = Mode.QUOTE,
        clock_offset_s: int | None = None,
        max_instruments: int = MAX_INSTRUMENTS,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self._account = account
        self._cache = cache
        self._now_s = now_s
        self._rest = DhanRest(rest_url, clock=clock)
        self._feed = URL(ws_url)
        self._mode = mode
        self._clock_offset_s = clock_offset_s
        self._max_instruments = max_instruments
        self._connection: DhanConnection | None = None
        self._token = ""
        self._is_refused = False
        self._given = ""
        self._made = ""
        self._logins_refused = 0

    async def instruments(self) -> Sequence[Instrument]:
        """The whole instrument master; from the cache on disk when it cannot be fetched."""
        self.skipped.clear()
        url = str(self._rest.endpoints.master)
        read = partial(parse, skipped=self.skipped)
        return await self._cache.load(BROKER, url, self._rest.fetch, read)

    async def authorize(self) -> Address:
        """The feed's address with a token that is not known to have ended or been refused."""
        account = self._account
        if not account.client_id:
            raise BrokerError(Ending("no_client_id", Fatal("set DHAN_CLIENT_ID")))
        refused = self._was_refused()
        if self._connection is not None and self._connection.authenticated:
            self._logins_refused = 0
        headless = account.pin and account.totp_secret
        self._token = await (self._login(refused) if headless else self._read(refused))
        hide(self._token)  # it may have been made just now
        self._is_refused = False
        self._connection = None
        query = {
            "version": "2",
            "token": self._token,
            "clientId": account.client_id,
            "authType": "2",
        }
        return Address(str(self._feed.with_query(query)))

    def credential(self) -> str:
        """The fingerprint of the token that was used last; empty before there was one."""
        return fingerprint(self._token)

    def connection(self, now_s: float) -> DhanConnection:
        """A fresh connection; it finds out anew whose clock the feed writes."""
        self._connection = DhanConnection(
            now_s,
            mode=self._mode,
            clock_offset_s=self._clock_offset_s,
            max_instruments=self._max_instruments,
        )
        return self._connection

    def refused(self, http_status: int) -> Ending:
        """What the refusal of the socket's upgrade means."""
        ending = upgrade_refused(http_status)
        self._is_refused = isinstance(ending.policy, RefreshToken)
        return ending

    async def close(self) -> None:
        """Close what was opened for REST."""
        await self._rest.close()

    def _was_refused(self) -> bool:
        """Whether the token of the last connection is good for nothing."""
        ending = self._connection.ending if self._connection is not None else None
        return self._is_refused or (ending is not None and isinstance(ending.policy, RefreshToken))

    def _left_s(self, token: str) -> float:
        """Seconds until a token ends; without end where it does not say."""
        ends_s = expires_s(token)
        return float("inf") if ends_s is None else ends_s - self._now_s()

    async def _read(self, refused: bool) -> str:
        """The token that is given now, or what it was renewed to."""
        given = self._account.read_token().strip()
        if given != self._given or refused:
            self._given, self._made = given, ""
        token = self._made or given
        if not token:
            advice = "set DHAN_ACCESS_TOKEN, or DHAN_PIN and DHAN_TOTP_SECRET"
            raise BrokerError(Ending("no_token", Fatal(advice)))
        left_s = self._left_s(token)
        if left_s <= 0:
            self._token = token
            advice = "the access token has ended: provide a new one"
            raise BrokerError(Ending("token_expired", RefreshToken(advice)))
        if left_s < RENEW_WITHIN_S:
            return await self._renewed(token)
        return token

    async def _renewed(self, token: str) -> str:
        """A token for 24 hours more; the same one where Dhan does not renew it."""
        try:
            self._made = await self._rest.renew(self._account.client_id, token)
        except BrokerError as error:
            _log.warning("dhan: the access token ends soon and is not renewed: %s", error)
            return token
        return self._made

    async def _login(self, refused: bool) -> str:
        """The token that was made last, or one from PIN and one-time password."""
        if self._made and not refused and self._left_s(self._made) >= RENEW_WITHIN_S:
            return self._made
        if refused:
            self._count_refused("a token that was made just now is not taken")
        account = self._account
        try:
            password = totp(secret_bytes(account.totp_secret), self._now_s())
            self._made = await self._rest.generate(account.client_id, account.pin, password)
        except ValueError as error:
            ending = Ending("no_token", Fatal("check DHAN_TOTP_SECRET"), str(error))
            raise BrokerError(ending) from None
        except BrokerError as error:
            if error.ending.reason == "login_refused":
                self._count_refused(error.ending.detail)
            raise
        return self._made

    def _count_refused(self, detail: str) -> None:
        """Give up after several refusals with no connection between; Dhan would lock us out."""
        self._logins_refused += 1
        if self._logins_refused >= MAX_LOGINS:
            advice = "check DHAN_PIN, DHAN_TOTP_SECRET and this machine's clock"
            raise BrokerError(Ending("login_refused", Fatal(advice), detail))
