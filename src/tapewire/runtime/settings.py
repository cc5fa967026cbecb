"""Every setting: its name, type, bounds, default and one sentence of help.

A setting's environment name is its field name in capitals. ``environment.py`` reads them
once at the edge of the process; what it returns is frozen. Names that users of earlier
systems know are kept; our own begin with ``TAPEWIRE_``. Those of Massive and of the Indian
brokers have modules of their own: ``massive_settings.py``, ``broker_settings.py``.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tapewire.runtime.broker_settings import BrokerSettings
from tapewire.runtime.massive_settings import MassiveSettings
from tapewire.runtime.service import UsageError
from tapewire.runtime.setting import expected, listed, setting, url

HTTP_PORTS: Final = {
    "listener": "tapewire_http_port_mdl",
    "processor": "tapewire_http_port_mdp",
    "reference": "tapewire_http_port_ref",
    "widgets": "tapewire_http_port_wds",
    "control": "tapewire_http_port_scp",
}
"""Service, as ``tapewire run`` names it -> the setting that holds its HTTP port."""

_ANALYZER: Final = re.compile(r"\w[\w.-]*(\?\w+=[^\s,&?]*(&\w+=[^\s,&?]*)*)?")
_MINUTES_60_MS: Final = 3_600_000


class QuoteSource(StrEnum):
    """Which stream quote records, boards and daily ranges fold; never both."""

    AUTO = "auto"
    AGGREGATE = "aggregate"
    TRADES = "trades"


class CandleConditions(StrEnum):
    """Which trades count for a candle: the provider's table, or regular trades only."""

    MASSIVE = "massive"
    REGULAR = "regular"


class LogFormat(StrEnum):
    """``auto`` is text in a terminal and JSON lines elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The levels of the standard library, any case."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


def _bound(which: str, figure: str, unit: str) -> Any:
    help_ = f"The {which} {figure} with which a symbol is listed on a board; none by default."
    return setting(None, help_, f"a number of {unit}, 0 or more", ge=0)


def _port(number: int, service: str) -> Any:
    return setting(
        number, f"HTTP port of the {service}.", "a port, 0 (any free one) to 65535", ge=0, le=65535
    )


class Settings(BrokerSettings, MassiveSettings, BaseSettings):
    """All settings of one process, frozen. Build it with ``environment.load_settings``.

    Constructing it directly takes only the given values: the process environment is never
    read from here, so tests cannot be changed by the machine they run on.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    rabbitmq_url: SecretStr | None = setting(
        None, "The RabbitMQ server that carries the queues.", "an amqp:// or amqps:// URL"
    )
    queue_prefix: str = setting(
        "",
        "Put before every queue name.",
        "at most 100 letters, digits and . _ - :",
        pattern=r"^[A-Za-z0-9._:-]{0,100}$",
    )
    mdc_redis_url: SecretStr | None = setting(
        None,
        "The Redis server of MDC: reference data, leases, registry.",
        "a redis://, rediss:// or unix:// URL",
    )
    wdc_redis_url: SecretStr | None = setting(
        None,
        "The Redis server of WDC: what clients read.",
        "a redis://, rediss:// or unix:// URL",
    )
    market_data_message_ttl: int | None = setting(
        5000,
        "How long a batch may wait in its queue, in ms; 0 or none keeps it for ever.",
        "0, none, or a number of ms up to 3600000",
        ge=1,
        le=_MINUTES_60_MS,
    )
    prefetch_count: int = setting(
        500,
        "Batches that a processor may hold unacknowledged.",
        "a number from 1 to 65535",
        ge=1,
        le=65535,
    )
    parallelism: int = setting(
        1, "Processor processes that share the shards.", "a number from 1 to 64", ge=1, le=64
    )
    quote_source: QuoteSource = setting(
        QuoteSource.AUTO,
        "Stream that quote records and boards fold; auto takes aggregate where subscribed.",
        "auto, aggregate or trades",
    )
    candle_conditions: CandleConditions = setting(
        CandleConditions.MASSIVE,
        "Which trade conditions count for candles.",
        "massive or regular",
    )
    candle_grace_ms: int = setting(
        2000,
        "How long after its minute a candle stays open for late trades, in ms.",
        "a number of ms from 0 to 60000",
        ge=0,
        le=60_000,
    )
    tapewire_analyzers: tuple[str, ...] = setting(
        ("default",),
        "Analyzers that run, built in or from packages; default stands for the usual ones.",
        "a comma list of names such as default,opening_range?minutes=15",
        min_length=1,
    )
    tapewire_board_min_price: float | None = _bound("lowest", "last price", "a price")
    tapewire_board_max_price: float | None = _bound("highest", "last price", "a price")
    tapewire_board_min_volume: float | None = _bound("lowest", "volume of the day", "shares")
    tapewire_board_max_volume: float | None = _bound("highest", "volume of the day", "shares")
    tapewire_board_min_float: float | None = _bound("lowest", "free float", "shares")
    tapewire_board_max_float: float | None = _bound("highest", "free float", "shares")
    log_level: LogLevel = setting(
        LogLevel.INFO, "The least severe log line shown.", "debug, info, warning, error or critical"
    )
    tapewire_log_format: LogFormat = setting(
        LogFormat.AUTO,
        "Form of log lines; auto is text in a terminal and JSON elsewhere.",
        "auto, json or text",
    )
    tapewire_data_dir: Path = setting(
        ..., "Folder of the embedded server and other local data.", "a folder that can be written"
    )
    tapewire_shards: int = setting(
        1,
        "Shards of each stream; the same for every service of a deployment.",
        "a number from 1 to 64",
        ge=1,
        le=64,
    )
    tapewire_flush_ms: int = setting(
        100,
        "Time between two flushes of a shard, in ms.",
        "a number of ms from 10 to 5000",
        ge=10,
        le=5000,
    )
    tapewire_drain_s: float = setting(
        10.0,
        "How long a service may take to finish after SIGTERM, in seconds.",
        "a number of seconds from 1 to 600",
        ge=1,
        le=600,
    )
    tapewire_http_host: str = setting(
        "127.0.0.1",
        "Address that health and metrics listen on.",
        "a host name or address of this machine",
        min_length=1,
    )
    tapewire_origins: tuple[str, ...] = setting(
        (),
        "Origins of the pages that may open a stream; empty allows those of this machine.",
        "a comma list of origins such as https://desk.example.com",
    )
    tapewire_http_port_mdl: int = _port(4200, "listener")
    tapewire_http_port_mdp: int = _port(4201, "processor")
    tapewire_http_port_ref: int = _port(4206, "reference service")
    tapewire_http_port_wds: int = _port(4202, "Widget Data Service: stream and health")
    tapewire_http_port_scp: int = _port(8000, "control plane: dashboard and health")
    tapewire_web_dir: Path | None = setting(
        None,
        "Folder of the built dashboard; by default the one of this installation.",
        "a folder that holds index.html",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: ``environment.py`` resolves names, sources and old names."""
        return (init_settings,)

    @field_validator("tapewire_analyzers", mode="before")
    @classmethod
    def _analyzers(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        names = listed(value)
        if wrong := [name for name in names if not _ANALYZER.fullmatch(name)]:
            raise ValueError(f"not analyzers: {wrong}")
        return names

    @field_validator("tapewire_origins", mode="before")
    @classmethod
    def _origins(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        origins = (origin.rstrip("/") for origin in listed(value))
        return tuple(dict.fromkeys(url(origin, "http", "https") for origin in origins))

    @field_validator("rabbitmq_url")
    @classmethod
    def _amqp_url(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(url(value.get_secret_value(), "amqp", "amqps"))

    @field_validator("mdc_redis_url", "wdc_redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(url(value.get_secret_value(), "redis", "rediss", "unix"))

    @field_validator("market_data_message_ttl", mode="before")
    @classmethod
    def _no_ttl(cls, value: str | int | None) -> str | int | None:
        return None if str(value).strip().lower() in {"0", "none"} else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: str) -> str:
        return value.upper()

    @property
    def board_bounds(self) -> dict[str, float | None]:
        """The bounds of ``TAPEWIRE_BOARD_*`` by the rest of their name (``min_price``)."""
        prefix = "tapewire_board_"
        names = (name for name in type(self).model_fields if name.startswith(prefix))
        return {name.removeprefix(prefix): getattr(self, name) for name in names}

    def http_port(self, service: str) -> int:
        """The HTTP port of a service, as ``tapewire run`` names it."""
        return int(getattr(self, HTTP_PORTS[service]))

    def required(self, name: str) -> str:
        """Return a setting that has no default (a URL or key); UsageError when it is not set."""
        value = getattr(self, name)
        if value is None:
            field = type(self).model_fields[name]
            raise UsageError(
                f"{name.upper()} is not set, and this command needs it. {field.description}"
                f" Set it to {expected(field)}."
            )
        return str(value.get_secret_value() if isinstance(value, SecretStr) else value)

    def secrets(self) -> tuple[str, ...]:
        """The exact values that must never be shown: keys, and passwords inside URLs."""
        values = (getattr(self, name) for name in type(self).model_fields)
        texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        found = (urlsplit(text).password if "://" in text else text for text in texts)
        return tuple(secret for secret in found if secret)

    def replaced(self, **values: Any) -> Self:
        """A copy with other, validated values."""
        return type(self)(**{**dict(self), **values})
