"""Every setting: its name, type, bounds, default and one sentence of help.

A setting's environment name is its field name in capitals. ``environment.py`` reads them
once at the edge of the process; what it returns is frozen. Names that users of earlier
systems know are kept; our own begin with ``TAPEWIRE_``.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tapewire.runtime.service import UsageError

MASSIVE_FEEDS: Final = {
    "RealTime": "socket.massive.com",
    "Delayed": "delayed.massive.com",
    "Business": "business.massive.com",
    "DelayedBusiness": "delayed-business.massive.com",
    "Nasdaq": "nasdaqfeed.massive.com",
    "PolyFeed": "polyfeed.massive.com",
    "PolyFeedPlus": "polyfeedplus.massive.com",
    "StarterFeed": "starterfeed.massive.com",
    "Launchpad": "launchpad.massive.com",
    "EdgxBusiness": "edgx-business.massive.com",
    "DelayedEdgxBusiness": "delayed-edgx-business.massive.com",
    "IEXBusiness": "iex-business.massive.com",
    "FullMarketBusiness": "fullmarket-business.massive.com",
    "DelayedFullMarketBusiness": "delayed-fullmarket-business.massive.com",
    "NasdaqBasicBusiness": "nasdaq-basic-business.massive.com",
    "DelayedNasdaqBasic": "delayed-nasdaq-basic-business.massive.com",
    "NasdaqLastSaleBusiness": "nasdaq-last-sale-business.massive.com",
    "DelayedNasdaqLastSaleBusiness": "delayed-nasdaq-last-sale-business.massive.com",
}
"""Feed name of the provider's documentation -> host (enum ``Feed`` of its Python client)."""

MASSIVE_MARKETS: Final = (
    "stocks",
    "options",
    "forex",
    "crypto",
    "indices",
    "futures",
    "futures/cme",
    "futures/cbot",
    "futures/nymex",
    "futures/comex",
)
"""Asset classes of the provider; each is the last part of the WebSocket's address."""

HTTP_PORTS: Final = {
    "listener": "tapewire_http_port_mdl",
    "processor": "tapewire_http_port_mdp",
    "reference": "tapewire_http_port_ref",
    "widgets": "tapewire_http_port_wds",
    "control": "tapewire_http_port_scp",
}
"""Service, as ``tapewire run`` names it -> the setting that holds its HTTP port."""

_FEED_BY_FOLDED_NAME: Final = {name.lower(): name for name in MASSIVE_FEEDS}
_TOPIC: Final = re.compile(r"[A-Z]+\.[^\s,]+")
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


def _setting(default: Any, help_: str, expected: str, **bounds: Any) -> Any:
    """One setting: its default, a sentence of help, and what a right value looks like."""
    return Field(
        default=default, description=help_, json_schema_extra={"expected": expected}, **bounds
    )


def _bound(which: str, figure: str, unit: str) -> Any:
    help_ = f"The {which} {figure} with which a symbol is listed on a board; none by default."
    return _setting(None, help_, f"a number of {unit}, 0 or more", ge=0)


def _port(number: int, service: str) -> Any:
    return _setting(
        number, f"HTTP port of the {service}.", "a port, 0 (any free one) to 65535", ge=0, le=65535
    )


class Settings(BaseSettings):
    """All settings of one process, frozen. Build it with ``environment.load_settings``.

    Constructing it directly takes only the given values: the process environment is never
    read from here, so tests cannot be changed by the machine they run on.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    massive_api_key: SecretStr | None = _setting(
        None, "Key of the Massive account.", "the key from the provider's dashboard"
    )
    massive_api_key_file: Path | None = _setting(
        None,
        "File that holds the key; read when no key is in the environment. Without this"
        " setting, massive_api_key in TAPEWIRE_DATA_DIR is tried.",
        "the path of a readable text file",
    )
    massive_feed: str = _setting(
        "RealTime",
        "Which of the provider's feeds to connect to.",
        f"one of {', '.join(MASSIVE_FEEDS)}, or a ws:// or wss:// URL",
    )
    massive_market: str = _setting(
        "stocks", "Asset class of the feed.", f"one of {', '.join(MASSIVE_MARKETS)}"
    )
    massive_rest_url: str = _setting(
        "https://api.massive.com",
        "Base address of the provider's REST service.",
        "an http:// or https:// URL",
    )
    massive_calls_per_minute: int = _setting(
        5400,
        "REST calls that this process may make in a minute; the free plan allows 5.",
        "a number from 1 to 60000",
        ge=1,
        le=60_000,
    )
    massive_subscriptions: tuple[str, ...] = _setting(
        ("T.*", "A.*", "LULD.*"),
        "Topics that the listener subscribes to.",
        "a comma list of topics such as T.*,A.*,LULD.* or T.AAPL",
        min_length=1,
    )
    rabbitmq_url: SecretStr | None = _setting(
        None, "The RabbitMQ server that carries the queues.", "an amqp:// or amqps:// URL"
    )
    queue_prefix: str = _setting(
        "",
        "Put before every queue name.",
        "at most 100 letters, digits and . _ - :",
        pattern=r"^[A-Za-z0-9._:-]{0,100}$",
    )
    mdc_redis_url: SecretStr | None = _setting(
        None,
        "The Redis server of MDC: reference data, leases, registry.",
        "a redis://, rediss:// or unix:// URL",
    )
    wdc_redis_url: SecretStr | None = _setting(
        None,
        "The Redis server of WDC: what clients read.",
        "a redis://, rediss:// or unix:// URL",
    )
    market_data_message_ttl: int | None = _setting(
        5000,
        "How long a batch may wait in its queue, in ms; 0 or none keeps it for ever.",
        "0, none, or a number of ms up to 3600000",
        ge=1,
        le=_MINUTES_60_MS,
    )
    prefetch_count: int = _setting(
        500,
        "Batches that a processor may hold unacknowledged.",
        "a number from 1 to 65535",
        ge=1,
        le=65535,
    )
    parallelism: int = _setting(
        1, "Processor processes that share the shards.", "a number from 1 to 64", ge=1, le=64
    )
    quote_source: QuoteSource = _setting(
        QuoteSource.AUTO,
        "Stream that quote records and boards fold; auto takes aggregate where subscribed.",
        "auto, aggregate or trades",
    )
    candle_conditions: CandleConditions = _setting(
        CandleConditions.MASSIVE,
        "Which trade conditions count for candles.",
        "massive or regular",
    )
    candle_grace_ms: int = _setting(
        2000,
        "How long after its minute a candle stays open for late trades, in ms.",
        "a number of ms from 0 to 60000",
        ge=0,
        le=60_000,
    )
    tapewire_analyzers: tuple[str, ...] = _setting(
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
    log_level: LogLevel = _setting(
        LogLevel.INFO, "The least severe log line shown.", "debug, info, warning, error or critical"
    )
    tapewire_log_format: LogFormat = _setting(
        LogFormat.AUTO,
        "Form of log lines; auto is text in a terminal and JSON elsewhere.",
        "auto, json or text",
    )
    tapewire_data_dir: Path = _setting(
        ..., "Folder of the embedded server and other local data.", "a folder that can be written"
    )
    tapewire_shards: int = _setting(
        1,
        "Shards of each stream; the same for every service of a deployment.",
        "a number from 1 to 64",
        ge=1,
        le=64,
    )
    tapewire_flush_ms: int = _setting(
        100,
        "Time between two flushes of a shard, in ms.",
        "a number of ms from 10 to 5000",
        ge=10,
        le=5000,
    )
    tapewire_drain_s: float = _setting(
        10.0,
        "How long a service may take to finish after SIGTERM, in seconds.",
        "a number of seconds from 1 to 600",
        ge=1,
        le=600,
    )
    tapewire_http_host: str = _setting(
        "127.0.0.1",
        "Address that health and metrics listen on.",
        "a host name or address of this machine",
        min_length=1,
    )
    tapewire_origins: tuple[str, ...] = _setting(
        (),
        "Origins of the pages that may open a stream; empty allows those of this machine.",
        "a comma list of origins such as https://desk.example.com",
    )
    tapewire_http_port_mdl: int = _port(4200, "listener")
    tapewire_http_port_mdp: int = _port(4201, "processor")
    tapewire_http_port_ref: int = _port(4206, "reference service")
    tapewire_http_port_wds: int = _port(4202, "Widget Data Service: stream and health")
    tapewire_http_port_scp: int = _port(8000, "control plane: dashboard and health")
    tapewire_web_dir: Path | None = _setting(
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

    @field_validator("massive_feed")
    @classmethod
    def _known_feed(cls, value: str) -> str:
        if "://" in value:
            return _url(value, "ws", "wss")
        folded = re.sub(r"[\s_-]", "", value).lower()
        if folded not in _FEED_BY_FOLDED_NAME:
            raise ValueError("not a feed's name")
        return _FEED_BY_FOLDED_NAME[folded]

    @field_validator("massive_market")
    @classmethod
    def _known_market(cls, value: str) -> str:
        return MASSIVE_MARKETS[MASSIVE_MARKETS.index(value.lower())]

    @field_validator("massive_rest_url")
    @classmethod
    def _rest_url(cls, value: str) -> str:
        return _url(value, "http", "https").rstrip("/")

    @field_validator("massive_subscriptions", mode="before")
    @classmethod
    def _topics(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        listed = value.split(",") if isinstance(value, str) else value
        topics = tuple(dict.fromkeys(topic.strip() for topic in listed if topic.strip()))
        if wrong := [topic for topic in topics if not _TOPIC.fullmatch(topic)]:
            raise ValueError(f"not topics: {wrong}")
        return topics

    @field_validator("tapewire_analyzers", mode="before")
    @classmethod
    def _analyzers(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        listed = value.split(",") if isinstance(value, str) else value
        names = tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))
        if wrong := [name for name in names if not _ANALYZER.fullmatch(name)]:
            raise ValueError(f"not analyzers: {wrong}")
        return names

    @field_validator("tapewire_origins", mode="before")
    @classmethod
    def _origins(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        listed = value.split(",") if isinstance(value, str) else value
        origins = (origin.strip().rstrip("/") for origin in listed if origin.strip())
        return tuple(dict.fromkeys(_url(origin, "http", "https") for origin in origins))

    @field_validator("rabbitmq_url")
    @classmethod
    def _amqp_url(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(_url(value.get_secret_value(), "amqp", "amqps"))

    @field_validator("mdc_redis_url", "wdc_redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(_url(value.get_secret_value(), "redis", "rediss", "unix"))

    @field_validator("market_data_message_ttl", mode="before")
    @classmethod
    def _no_ttl(cls, value: str | int | None) -> str | int | None:
        return None if str(value).strip().lower() in {"0", "none"} else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: str) -> str:
        return value.upper()

    @property
    def massive_url(self) -> str:
        """The WebSocket address: the feed's host and the market; a URL with a path as it is."""
        if "://" not in self.massive_feed:
            return f"wss://{MASSIVE_FEEDS[self.massive_feed]}/{self.massive_market}"
        if urlsplit(self.massive_feed).path.strip("/"):
            return self.massive_feed
        return f"{self.massive_feed.rstrip('/')}/{self.massive_market}"

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


def expected(field: FieldInfo) -> str:
    """What a right value of this setting looks like, for messages and ``--help``."""
    extra = field.json_schema_extra
    return str(extra["expected"]) if isinstance(extra, dict) else ""


def _url(text: str, *schemes: str) -> str:
    """Return ``text`` when it is a URL with one of the schemes and a place; ValueError else."""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not (parts.hostname or parts.path.strip("/")):
        raise ValueError(f"not a URL with scheme {' or '.join(schemes)}")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("the URL names no host")
    parts.port  # noqa: B018 - raises ValueError when the port is not a number
    return text
