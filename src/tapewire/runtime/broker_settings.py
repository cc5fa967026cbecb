"""The settings of the Indian brokers and of the ticks that they send: a part of ``Settings``.

Their names stand in ``components.md`` 10 and are those that users of the tick engine know.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from tapewire.runtime.setting import listed, setting, url

BROKERS: Final = ("upstox", "fyers", "dhan")
"""The brokers that can be named in ``BROKERS``."""

_LISTED: Final = re.compile(r"[\w.-]+(:[\w.&-]+)?")


class LttOffset(StrEnum):
    """Whose clock Dhan writes; a day that is not today's does not tell, and needs it said."""

    AUTO = "auto"
    UTC = "0"
    INDIA = "19800"

    @property
    def seconds(self) -> int | None:
        """Seconds ahead of UTC; None: to be found out."""
        return None if self is LttOffset.AUTO else int(self)


class UpstoxMode(StrEnum):
    """What Upstox sends of an instrument; ``ltpc`` has no volume of the day."""

    LTPC = "ltpc"
    OPTION_GREEKS = "option_greeks"
    FULL = "full"
    FULL_D30 = "full_d30"


class UpstoxPlan(StrEnum):
    """Whose limits hold; only ``plus`` has 30 levels of depth."""

    STANDARD = "standard"
    PLUS = "plus"


class FyersMode(StrEnum):
    """What Fyers sends of an instrument: every field, or the last price alone."""

    FULL = "full"
    LITE = "lite"


class DhanMode(StrEnum):
    """What Dhan sends of an instrument; ``ticker`` has no volume of the day."""

    TICKER = "ticker"
    QUOTE = "quote"
    FULL = "full"


def _rest(default: str, broker: str) -> Any:
    return setting(
        default, f"Base address of {broker}'s REST service.", "an http:// or https:// URL"
    )


def _socket(default: str, broker: str) -> Any:
    return setting(default, f"Address of {broker}'s data socket.", "a ws:// or wss:// URL")


def _token(broker: str, expected: str) -> Any:
    return setting(None, f"Token of the {broker} account.", expected)


def _token_file(broker: str) -> Any:
    name = f"{broker.upper()}_ACCESS_TOKEN"
    return setting(
        None,
        f"File that holds the token of the {broker} account and is read for every connection; it"
        f" has no effect where {name} is set.",
        "the path of a text file",
    )


class BrokerSettings(BaseModel):
    """Which brokers are asked, with what, for which instruments, and what ticks go through."""

    brokers: tuple[str, ...] = setting(
        BROKERS,
        "Brokers to take ticks from, one at a time: the first one, and the next when it fails.",
        f"a comma list of {', '.join(BROKERS)}",
        min_length=1,
    )
    broker_instruments: str | None = setting(
        None,
        "Instruments to subscribe to: names, or a file that has one on each line.",
        "a comma list such as NSE_EQ:2885,RELIANCE,NIFTY-I, or the path of a readable file",
    )
    broker_silence_s: float = setting(
        15.0,
        "Seconds without a tick, while data must come, after which the next broker is tried.",
        "a number of seconds from 1 to 3600",
        ge=1,
        le=3600,
    )
    broker_failback_s: float = setting(
        60.0,
        "Seconds for which a better broker must be without fault before it takes over again.",
        "a number of seconds from 1 to 86400",
        ge=1,
        le=86_400,
    )
    upstox_rest_url: str = _rest("https://api.upstox.com", "Upstox")
    upstox_access_token: SecretStr | None = _token("Upstox", "an Analytics Token or access token")
    upstox_access_token_file: Path | None = _token_file("Upstox")
    upstox_plan: UpstoxPlan = setting(
        UpstoxPlan.STANDARD,
        "Plan of the Upstox account, which sets the limits.",
        "standard or plus",
    )
    upstox_mode: UpstoxMode = setting(
        UpstoxMode.FULL,
        "What Upstox sends of an instrument; of ltpc the volume is an estimate.",
        "ltpc, option_greeks, full, or full_d30 (with UPSTOX_PLAN=plus only)",
    )
    fyers_rest_url: str = _rest("https://api-t1.fyers.in", "Fyers")
    fyers_ws_url: str = _socket("wss://socket.fyers.in/hsm/v1-5/prod", "Fyers")
    fyers_access_token: SecretStr | None = _token("Fyers", "the token, or APPID:TOKEN")
    fyers_access_token_file: Path | None = _token_file("Fyers")
    fyers_mode: FyersMode = setting(
        FyersMode.FULL,
        "What Fyers sends of an instrument; lite has prices and no volume.",
        "full or lite",
    )
    dhan_rest_url: str = _rest("https://api.dhan.co", "Dhan")
    dhan_ws_url: str = _socket("wss://api-feed.dhan.co", "Dhan")
    dhan_client_id: str | None = setting(
        None, "Number of the Dhan client.", "the client's number", pattern=r"^\w+$"
    )
    dhan_access_token: SecretStr | None = _token("Dhan", "the access token")
    dhan_access_token_file: Path | None = _token_file("Dhan")
    dhan_pin: SecretStr | None = setting(
        None,
        "PIN of the Dhan client; with DHAN_TOTP_SECRET it makes tokens without a browser.",
        "the digits of the PIN",
    )
    dhan_totp_secret: SecretStr | None = setting(
        None,
        "Secret of the Dhan client's one-time passwords; goes with DHAN_PIN.",
        "the secret in base 32 (letters A to Z, digits 2 to 7)",
    )
    dhan_mode: DhanMode = setting(
        DhanMode.QUOTE,
        "What Dhan sends of an instrument; ticker has prices and no volume.",
        "ticker, quote or full",
    )
    dhan_ltt_offset: LttOffset = setting(
        LttOffset.AUTO,
        "Seconds that Dhan's clock is ahead of UTC: found out, plain UTC, or India's wall clock.",
        "auto, 0 or 19800",
    )
    tick_queue_max: int = setting(
        2_000_000,
        "Ticks that may wait in the listener before they are conflated.",
        "a number from 1000 to 100000000",
        ge=1000,
        le=100_000_000,
    )
    tick_queue_max_bytes: int = setting(
        512 * 1024 * 1024,
        "Bytes of ticks that may wait in the listener before they are conflated.",
        "a number of bytes from 1048576 to 68719476736",
        ge=1024 * 1024,
        le=64 * 1024**3,
    )
    tick_flush_ms: int = setting(
        50,
        "Time between two flushes of a shard of ticks, in ms.",
        "a number of ms from 10 to 5000",
        ge=10,
        le=5000,
    )
    tick_filter_enabled: bool = setting(
        False,
        "Whether the filter thins out what is published of raw ticks; candles never miss one.",
        "on or off",
    )
    tick_filter_sample: int = setting(
        1,
        "The filter lets one in so many ticks of an instrument through.",
        "a number from 1 to 1000000",
        ge=1,
        le=1_000_000,
    )
    tick_filter_min_change: float = setting(
        0.0,
        "The filter lets a tick through whose price moved so much since the last one, in rupees.",
        "a price, 0 or more",
        ge=0,
        allow_inf_nan=False,
    )
    tick_filter_allow: tuple[str, ...] = setting(
        (),
        "What alone the filter lets through: exchanges, tokens or instruments; empty allows all.",
        "a comma list such as NSE_FO,8765,NSE_EQ:2885",
    )
    tick_filter_deny: tuple[str, ...] = setting(
        (),
        "What the filter keeps back: exchanges, tokens or instruments.",
        "a comma list such as NSE_FO,8765,NSE_EQ:2885",
    )
    compat_keys: bool = setting(
        False,
        "Whether candles are also written to the Redis keys of the earlier tick engine.",
        "on or off",
    )
    raw_ticks: bool = setting(
        False, "Whether every valid tick is also kept in the Redis list ticks.", "on or off"
    )

    @field_validator("upstox_mode", "upstox_plan", "fyers_mode", "dhan_mode", mode="before")
    @classmethod
    def _lower_case(cls, value: str) -> str:
        return value.lower()

    @field_validator("upstox_mode")
    @classmethod
    def _in_the_plan(cls, value: UpstoxMode, others: ValidationInfo) -> UpstoxMode:
        if value is UpstoxMode.FULL_D30 and others.data.get("upstox_plan") is not UpstoxPlan.PLUS:
            raise ValueError("not in the plan")
        return value

    @field_validator("dhan_ltt_offset", mode="before")
    @classmethod
    def _any_spelling(cls, value: str | int) -> str:
        return str(value).lower()

    @field_validator("brokers", mode="before")
    @classmethod
    def _known_brokers(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.lower() for name in listed(value)))
        if wrong := [name for name in names if name not in BROKERS]:
            raise ValueError(f"not brokers: {wrong}")
        return names

    @field_validator("upstox_rest_url", "fyers_rest_url", "dhan_rest_url")
    @classmethod
    def _broker_rest(cls, value: str) -> str:
        return url(value, "http", "https").rstrip("/")

    @field_validator("fyers_ws_url", "dhan_ws_url")
    @classmethod
    def _broker_socket(cls, value: str) -> str:
        return url(value, "ws", "wss").rstrip("/")

    @field_validator("dhan_totp_secret")
    @classmethod
    def _base_32(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        secret = re.sub(r"[\s=-]", "", value.get_secret_value()).upper()
        if not re.fullmatch(r"[A-Z2-7]{8,}", secret):
            raise ValueError("not base 32")
        return SecretStr(secret)

    @field_validator("tick_filter_allow", "tick_filter_deny", mode="before")
    @classmethod
    def _filtered(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        names = listed(value)
        if wrong := [name for name in names if not _LISTED.fullmatch(name)]:
            raise ValueError(f"not exchanges, tokens or instruments: {wrong}")
        return names
