"""Fyers as a broker: its token, where its socket is, and its instruments.

The socket itself is held by ``broker_client.py``, for all brokers alike.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import Address, BrokerError, Ending, fingerprint
from tapewire.providers.disconnects import Fatal, RefreshToken
from tapewire.providers.fyers import master, notices
from tapewire.providers.fyers.protocol import MAX_TOPICS, FyersConnection
from tapewire.providers.fyers.requests import Mode
from tapewire.providers.fyers.rest import REST_URL, FyersRest, master_url
from tapewire.providers.fyers.token import AccessToken, TokenError, read_token
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.redact import hide

_log: Final = logging.getLogger(__name__)

WS_URL: Final = "wss://socket.fyers.in/hsm/v1-5/prod"

NEW_TOKEN: Final = RefreshToken("log in to Fyers again and set FYERS_ACCESS_TOKEN to the new token")
NO_TOKEN: Final = Fatal("set FYERS_ACCESS_TOKEN to the token of a login, appid:jwt")


class FyersBroker:
    """One Fyers account: a `Broker`.

    ``token`` gives ``appid:jwt`` and is called for every connection; ``now_s`` is seconds
    since 1970, ``clock`` monotonic seconds. ``skipped`` counts what was left out of the
    instrument masters, by reason.
    """

    name = "fyers"

    def __init__(
        self,
        token: Callable[[], str],
        cache: InstrumentCache,
        *,
        now_s: Callable[[], float],
        clock: Callable[[], float],
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
        mode: Mode = Mode.FULL,
        max_topics: int = MAX_TOPICS,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self.rest = FyersRest(rest_url, clock=clock)
        self._token = token
        self._cache = cache
        self._now_s = now_s
        self._rest_url = rest_url
        self._ws_url = ws_url
        self._mode = mode
        self._max_topics = max_topics
        self._used = ""
        self._access: AccessToken | None = None

    async def instruments(self) -> Sequence[Instrument]:
        """Shares, derivatives and indices of all exchanges; from the disk when out of reach.

        An exchange that is neither to be had nor on the disk is left out, in the log. Raises
        BrokerError when all are.
        """
        self.skipped.clear()
        found: list[Instrument] = []
        missing = None
        for file, parse in master.FILES.items():
            try:
                found += await self._load(file, parse)
            except BrokerError as error:
                missing = error
                _log.warning("fyers: %s; its instruments are left out", error)
        if missing is not None and not found:
            raise missing
        return found

    async def resolve(self, tickers: Sequence[str]) -> list[Instrument]:
        """Ask Fyers for tickers (``NSE:RELIANCE-EQ``) that the masters do not have.

        Unknown ones and indices are left out. Raises BrokerError.
        """
        tokens = await self.rest.symbol_tokens(self._read_token(), tickers)
        found = (master.resolved(ticker, fy_token) for ticker, fy_token in tokens.items())
        return [one for one in found if one is not None]

    async def authorize(self) -> Address:
        """Read the token again; the socket takes what is written in it.

        The address needs no header: with one of authorization Fyers never answers the key.
        """
        self._access = self._read_token()
        return Address(self._ws_url)

    def credential(self) -> str:
        """The fingerprint of the token that was read last; empty before one was."""
        return fingerprint(self._used)

    def connection(self, now_s: float) -> FyersConnection:
        """A fresh connection with the key of the token that ``authorize`` read."""
        if self._access is None:
            raise BrokerError(Ending("unauthorized", NO_TOKEN, "authorize was not called before"))
        key, bound = self._access.hsm_key, self._max_topics
        return FyersConnection(key, now_s, mode=self._mode, max_topics=bound)

    def refused(self, http_status: int) -> Ending:
        """What the refusal of the socket's upgrade means."""
        return notices.refused(http_status, f"the socket was refused with {http_status}")

    async def close(self) -> None:
        """Close the session of the REST calls."""
        await self.rest.close()

    async def _load(self, file: str, parse: master.Parse) -> Sequence[Instrument]:
        url, name = master_url(self._rest_url, file), f"fyers_{file.partition('.')[0]}"
        return await self._cache.load(name, url, self.rest.fetch, self._counting(parse))

    def _counting(self, parse: master.Parse) -> Callable[[bytes], list[Instrument]]:
        return lambda data: parse(data, self.skipped)

    def _read_token(self) -> AccessToken:
        """The token as it is now. Raises BrokerError when it is none, or has expired."""
        self._used = text = self._token().strip()
        if not text:
            raise BrokerError(Ending("no_token", NO_TOKEN))
        try:
            token = read_token(text)
        except TokenError as error:
            raise BrokerError(Ending("token_unreadable", NEW_TOKEN, str(error))) from None
        hide(token.jwt, token.hsm_key)  # parts of it, which are sent by themselves
        if token.expires_s <= self._now_s():
            expired = datetime.fromtimestamp(token.expires_s, UTC)
            said = f"it expired at {expired:%Y-%m-%d %H:%M} UTC"
            raise BrokerError(Ending("token_expired", NEW_TOKEN, said))
        return token
