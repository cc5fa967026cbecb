"""BrokerFactory: from the names in ``BROKERS`` and the settings to the accounts behind them."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from tapewire.providers.broker import Broker, BrokerError, Ending
from tapewire.providers.dhan.client import DhanAccount, DhanBroker
from tapewire.providers.dhan.subscriptions import Mode as DhanMode
from tapewire.providers.disconnects import Fatal
from tapewire.providers.fyers.client import FyersBroker
from tapewire.providers.fyers.requests import Mode as FyersMode
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.providers.upstox.client import UpstoxBroker
from tapewire.providers.upstox.limits import LIMITS, Plan
from tapewire.providers.upstox.messages import Mode as UpstoxMode
from tapewire.runtime.key_file import KeyFileError, TokenFile
from tapewire.runtime.service import UsageError

_log: Final = logging.getLogger(__name__)


class Secret(Protocol):
    """A value that shows itself only when asked to."""

    def get_secret_value(self) -> str:
        """The value."""


class ClockOffset(Protocol):
    """What a setting says of the feed's clock."""

    @property
    def seconds(self) -> int | None:
        """How far it is ahead of UTC; None to find out."""


class BrokerAccounts(Protocol):
    """The settings that accounts are made of (``runtime/broker_settings.py``)."""

    @property
    def brokers(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def upstox_rest_url(self) -> str: ...  # noqa: D102
    @property
    def upstox_access_token(self) -> Secret | None: ...  # noqa: D102
    @property
    def upstox_access_token_file(self) -> Path | None: ...  # noqa: D102
    @property
    def upstox_plan(self) -> str: ...  # noqa: D102
    @property
    def upstox_mode(self) -> str: ...  # noqa: D102
    @property
    def fyers_rest_url(self) -> str: ...  # noqa: D102
    @property
    def fyers_ws_url(self) -> str: ...  # noqa: D102
    @property
    def fyers_access_token(self) -> Secret | None: ...  # noqa: D102
    @property
    def fyers_access_token_file(self) -> Path | None: ...  # noqa: D102
    @property
    def fyers_mode(self) -> str: ...  # noqa: D102
    @property
    def dhan_rest_url(self) -> str: ...  # noqa: D102
    @property
    def dhan_ws_url(self) -> str: ...  # noqa: D102
    @property
    def dhan_client_id(self) -> str | None: ...  # noqa: D102
    @property
    def dhan_access_token(self) -> Secret | None: ...  # noqa: D102
    @property
    def dhan_access_token_file(self) -> Path | None: ...  # noqa: D102
    @property
    def dhan_mode(self) -> str: ...  # noqa: D102
    @property
    def dhan_pin(self) -> Secret | None: ...  # noqa: D102
    @property
    def dhan_totp_secret(self) -> Secret | None: ...  # noqa: D102
    @property
    def dhan_ltt_offset(self) -> ClockOffset: ...  # noqa: D102


CREDENTIALS: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "upstox": [["upstox_access_token"], ["upstox_access_token_file"]],
    "fyers": [["fyers_access_token"], ["fyers_access_token_file"]],
    "dhan": [
        ["dhan_client_id", "dhan_access_token"],
        ["dhan_client_id", "dhan_access_token_file"],
        ["dhan_client_id", "dhan_pin", "dhan_totp_secret"],
    ],
}
"""Broker -> the settings that are enough to connect, in any of these ways."""


class BrokerFactory:
    """Makes the brokers of ``accounts.brokers``, in that order.

    ``cache_of`` gives the instrument cache of a broker by name. Tokens are read from
    ``accounts``, or their files, anew for every connection; ``token_files`` has by broker those
    that are read. ``clock`` is monotonic seconds, ``now_s`` seconds since 1970, ``new_guid``
    names requests.
    """

    def __init__(
        self,
        accounts: BrokerAccounts,
        cache_of: Callable[[str], InstrumentCache],
        *,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
        new_guid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._accounts = accounts
        self._cache_of = cache_of
        self._clock = clock
        self._now_s = now_s
        self._new_guid = new_guid
        self.token_files = {name: file for name in CREDENTIALS if (file := self._file_of(name))}
        self._makers: Mapping[str, Callable[[InstrumentCache], Broker]] = {
            "upstox": self._upstox,
            "fyers": self._fyers,
            "dhan": self._dhan,
        }

    @property
    def usable(self) -> list[str]:
        """The brokers that have credentials, in order; the others are left out with a warning.

        Raises UsageError for a name that is no broker's, and when none has credentials.
        """
        wanted = list(dict.fromkeys(self._accounts.brokers))
        if unknown := [name for name in wanted if name not in self._makers]:
            raise UsageError(
                f"BROKERS names {', '.join(unknown)}; expected {', '.join(self._makers)}"
            )
        usable = [name for name in wanted if self._has_credentials(name)]
        if not usable:
            needed = "; ".join(f"for {name} {_needed(name)}" for name in wanted)
            raise UsageError(f"no broker of BROKERS has credentials; set {needed or 'BROKERS'}")
        for name in wanted:
            if name not in usable:
                _log.warning("%s is left out: it has no credentials; set %s", name, _needed(name))
        return usable

    def make(self) -> list[Broker]:
        """The usable brokers; the caller closes them. Raises UsageError as ``usable`` does.

        An address that is none raises ValueError.
        """
        return [self._makers[name](self._cache_of(name)) for name in self.usable]

    def _has_credentials(self, name: str) -> bool:
        ways = CREDENTIALS[name]
        return any(all(self._given(setting) for setting in way) for way in ways)

    def _given(self, setting: str) -> str:
        """A setting's value now, secret or not; empty where there is none."""
        value = getattr(self._accounts, setting)
        if value is None:
            return ""
        return str(value) if isinstance(value, str | Path) else str(value.get_secret_value())

    def _file_of(self, name: str) -> TokenFile | None:
        """The file of a broker's token; None where the token itself is given, or none is."""
        path = self._given(f"{name}_access_token_file")
        if not path or self._given(f"{name}_access_token"):
            return None
        return TokenFile(Path(path), f"{name}_access_token_file".upper())

    def _token(self, name: str) -> Callable[[], str]:
        """What reads a broker's token as it is now; it raises BrokerError for a bad file."""
        file = self.token_files.get(name)
        if file is None:
            return lambda: self._given(f"{name}_access_token")
        return lambda: _read(file)

    def _upstox(self, cache: InstrumentCache) -> Broker:
        return UpstoxBroker(
            self._token("upstox"),
            cache,
            clock=self._clock,
            new_guid=self._new_guid,
            rest_url=self._accounts.upstox_rest_url,
            mode=UpstoxMode(self._accounts.upstox_mode),
            limits=LIMITS[Plan(self._accounts.upstox_plan)],
        )

    def _fyers(self, cache: InstrumentCache) -> Broker:
        return FyersBroker(
            self._token("fyers"),
            cache,
            now_s=self._now_s,
            clock=self._clock,
            rest_url=self._accounts.fyers_rest_url,
            ws_url=self._accounts.fyers_ws_url,
            mode=FyersMode[self._accounts.fyers_mode.upper()],
        )

    def _dhan(self, cache: InstrumentCache) -> Broker:
        account = DhanAccount(
            client_id=self._given("dhan_client_id"),
            read_token=self._token("dhan"),
            pin=self._given("dhan_pin"),
            totp_secret=self._given("dhan_totp_secret"),
        )
        return DhanBroker(
            account,
            cache,
            clock=self._clock,
            now_s=self._now_s,
            rest_url=self._accounts.dhan_rest_url,
            ws_url=self._accounts.dhan_ws_url,
            mode=DhanMode[self._accounts.dhan_mode.upper()],
            clock_offset_s=self._accounts.dhan_ltt_offset.seconds,
        )


def _read(file: TokenFile) -> str:
    try:
        return file.read()
    except KeyFileError as error:
        policy = Fatal("write the token into that file", renewable=True)
        raise BrokerError(Ending("token_file", policy, str(error))) from None


def _needed(name: str) -> str:
    """``DHAN_CLIENT_ID and DHAN_ACCESS_TOKEN, or ...``."""
    ways = (" and ".join(setting.upper() for setting in way) for way in CREDENTIALS[name])
    return ", or ".join(ways)
