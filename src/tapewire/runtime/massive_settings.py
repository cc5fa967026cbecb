"""The settings of the Massive account and its feed: a part of ``Settings``."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, field_validator

from tapewire.runtime.setting import listed, setting, url

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

_FEED_BY_FOLDED_NAME: Final = {name.lower(): name for name in MASSIVE_FEEDS}
_TOPIC: Final = re.compile(r"[A-Z]+\.[^\s,]+")


class MassiveSettings(BaseModel):
    """Which of the provider's feeds is read, with what key, and where its REST service is."""

    massive_api_key: SecretStr | None = setting(
        None, "Key of the Massive account.", "the key from the provider's dashboard"
    )
    massive_api_key_file: Path | None = setting(
        None,
        "File that holds the key; read when no key is in the environment. Without this"
        " setting, massive_api_key in TAPEWIRE_DATA_DIR is tried.",
        "the path of a readable text file",
    )
    massive_feed: str = setting(
        "RealTime",
        "Which of the provider's feeds to connect to.",
        f"one of {', '.join(MASSIVE_FEEDS)}, or a ws:// or wss:// URL",
    )
    massive_market: str = setting(
        "stocks", "Asset class of the feed.", f"one of {', '.join(MASSIVE_MARKETS)}"
    )
    massive_rest_url: str = setting(
        "https://api.massive.com",
        "Base address of the provider's REST service.",
        "an http:// or https:// URL",
    )
    massive_calls_per_minute: int = setting(
        5400,
        "REST calls that this process may make in a minute; the free plan allows 5.",
        "a number from 1 to 60000",
        ge=1,
        le=60_000,
    )
    massive_subscriptions: tuple[str, ...] = setting(
        ("T.*", "A.*", "LULD.*"),
        "Topics that the listener subscribes to.",
        "a comma list of topics such as T.*,A.*,LULD.* or T.AAPL",
        min_length=1,
    )

    @field_validator("massive_feed")
    @classmethod
    def _known_feed(cls, value: str) -> str:
        if "://" in value:
            return url(value, "ws", "wss")
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
        return url(value, "http", "https").rstrip("/")

    @field_validator("massive_subscriptions", mode="before")
    @classmethod
    def _topics(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        topics = listed(value)
        if wrong := [topic for topic in topics if not _TOPIC.fullmatch(topic)]:
            raise ValueError(f"not topics: {wrong}")
        return topics

    @property
    def massive_url(self) -> str:
        """The WebSocket address: the feed's host and the market; a URL with a path as it is."""
        if "://" not in self.massive_feed:
            return f"wss://{MASSIVE_FEEDS[self.massive_feed]}/{self.massive_market}"
        if urlsplit(self.massive_feed).path.strip("/"):
            return self.massive_feed
        return f"{self.massive_feed.rstrip('/')}/{self.massive_market}"
