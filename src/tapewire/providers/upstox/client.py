"""One Upstox account as the feed needs it: `UpstoxBroker`.

An Analytics Token (valid a year, read-only) is all it needs; the token is read again for every
connection, and the single-use address asked for again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import Address, Ending, fingerprint
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.providers.upstox.limits import LIMITS, Limits, Plan
from tapewire.providers.upstox.master import parse
from tapewire.providers.upstox.messages import Mode
from tapewire.providers.upstox.protocol import BROKER, UpstoxConnection, refused
from tapewire.providers.upstox.rest import REST_URL, UpstoxRest, master_url


class UpstoxBroker:
    """One account; a `Broker`.

    ``token`` gives the present access token, empty where there is none; ``cache`` keeps the
    instrument master; ``clock`` is monotonic seconds; ``new_guid`` names requests.
    ``skipped`` counts rows of the master that were left out, by reason.
    """

    name = BROKER

    def __init__(
        self,
        token: Callable[[], str],
        cache: InstrumentCache,
        *,
        clock: Callable[[], float],
        new_guid: Callable[[], str],
        rest_url: str = REST_URL,
        mode: Mode = Mode.FULL,
        limits: Limits = LIMITS[Plan.STANDARD],
    ) -> None:
        self._rest = UpstoxRest(rest_url, clock=clock)
        self._master_url = master_url(rest_url)
        self._token = token
        self._cache = cache
        self._new_guid = new_guid
        self._mode = mode
        self._limits = limits
        self._credential = ""
        self.skipped: Counter[str] = Counter()

    async def instruments(self) -> Sequence[Instrument]:
        """The whole instrument master; from the cache on disk when it cannot be fetched."""
        self.skipped.clear()
        read = partial(parse, skipped=self.skipped)
        return await self._cache.load(self.name, self._master_url, self._rest.fetch, read)

    async def authorize(self) -> Address:
        """Read the token again and ask where to connect; BrokerError says what follows."""
        token = self._token()
        self._credential = fingerprint(token)
        return Address(await self._rest.feed_address(token))

    def credential(self) -> str:
        """The fingerprint of the token that ``authorize`` used last; empty before."""
        return self._credential

    def connection(self, now_s: float) -> UpstoxConnection:
        """A fresh connection, for the address that ``authorize`` gave last."""
        return UpstoxConnection(self._new_guid, now_s=now_s, mode=self._mode, limits=self._limits)

    def refused(self, http_status: int) -> Ending:
        """What the refusal of the socket's upgrade means."""
        return refused(http_status)

    async def close(self) -> None:
        """Close the REST session."""
        await self._rest.close()
