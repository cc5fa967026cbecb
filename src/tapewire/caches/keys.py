"""Every key name and time to live in the two caches, in one place.

Names of rows come from the feed table (``model/feeds.py``); the classes here put a
shard's hash tag before them, so that all keys of a shard live on one server and one
script may write them together. ``docs/redis.md`` shows the same as a table.
"""

from typing import Final

from tapewire.caches.kinds import KINDS
from tapewire.model.feeds import DAY_S, FEEDS, PRIVATE_TTL_S, ttl_s

HOUR_S: Final = 3_600

JITTER: Final = 0.1
"""How far a time to live of reference data may differ from the table's: a tenth."""


class WidgetDataCacheKeys:
    """Keys of one shard in the Widget Data Cache (WDC).

    Args:
        shard: a shard's name, ``trades.0``.
    """

    SHARDS: Final = "tapewire:shards"
    RESERVED: Final = frozenset({"place", "positions", "changes", "gaps", "names", "sequences"})
    """Names that no feed and no analyzer may use."""

    PRIVATE: Final = "private:"

    def __init__(self, shard: str) -> None:
        self.prefix = f"{{{shard}}}:"
        self.place = self.prefix + "place"
        self.positions = self.prefix + "positions"
        self.changes = self.prefix + "changes"
        self.gaps = self.prefix + "gaps"
        self.names = self.prefix + "names"
        self.sequences = self.prefix + "sequences"

    def of(self, name: str) -> str:
        """Key of a hash, sorted set or list by its name in the shard (``quote:2026-11-20``)."""
        return self.prefix + name

    def private(self, name: str) -> str:
        """Key of an analyzer's private hash."""
        return self.prefix + self.PRIVATE + name


class WidgetDataCacheTTL:
    """Seconds that WDC's keys live after their owner last refreshed them."""

    REFRESH_S: Final = HOUR_S
    """An owner sets a key's TTL when it first touches it, and again after this long."""

    PRIVATE_S: Final = PRIVATE_TTL_S
    NAMES_S: Final = max(PRIVATE_TTL_S, *(feed.ttl_s for feed in FEEDS))

    @classmethod
    def of(cls, name: str) -> int:
        """TTL of a key from its name in the shard; private and fixed ones included."""
        return cls.NAMES_S if name == "names" else ttl_s(name)


class WidgetDataCacheBounds:
    """How long WDC's lists and streams may grow; the oldest entries go first."""

    CHANGES: Final = 50
    """Change stream entries (``MAXLEN ~``): a reader further behind takes a new snapshot."""

    GAPS: Final = 10_000


class EarlierEngineKeys:
    """Keys of the earlier tick engine in WDC, for programs that read those (``components.md`` 6).

    ``exchange`` is exchange and segment (``NSE_FO``); it is written in lower case.
    """

    RAW_TICKS: Final = "ticks"
    RAW_TICKS_KEPT: Final = 100_000
    TTL_S: Final = DAY_S
    """Of each key after it was last written."""

    @staticmethod
    def latest(exchange: str, token: str) -> str:
        """String: the newest minute, ``[open, high, low, close, volume, minute_int]``."""
        return f"{exchange.lower()}:{token}:_latest_:"

    @staticmethod
    def confirmed(exchange: str, token: str) -> str:
        """String: the newest closed minute, likewise."""
        return f"{exchange.lower()}:{token}:_confirmed_:"

    @staticmethod
    def minute(exchange: str, token: str, minute_int: int) -> str:
        """String: the last minute of that name, ``[open, high, low, close, volume]``."""
        return f"{exchange.lower()}:{token}:{minute_int}:"


class MarketDataCacheKeys:
    """Keys in the Market Data Cache (MDC)."""

    REFERENCE_CHANGES: Final = "reference:changes"
    REFERENCE_DATES: Final = "reference:dates"
    INTEREST: Final = "interest:trades"
    """Sorted set: symbols whose time and sales somebody watches; score = until when, ms UTC."""

    SERVICES: Final = "tapewire:services"

    @staticmethod
    def reference(date: str) -> str:
        """Hash of the reference rows of a trading date (``2026-11-20``); field = symbol."""
        return f"reference:{date}"

    @staticmethod
    def loaded(date: str) -> str:
        """String: when and how completely a trading date's reference rows were loaded."""
        return f"reference:loaded:{date}"

    @staticmethod
    def corrections(exchange: str) -> str:
        """String: the exchange's coming days with other hours than the shipped calendar's."""
        return f"calendar:{exchange}"

    @staticmethod
    def known(provider: str, kind: str, argument: str, part: str) -> str:
        """One kind of reference data about one thing, as one provider (a hash) has it.

        ``part``: ``value`` (string; hash for the whole market), ``flight`` (string: who is
        asking), ``trouble`` (string: why nobody asks now) or ``staged`` (hash being written).
        """
        return f"{{known:{provider}:{kind}:{argument}}}:{part}"

    @staticmethod
    def call_off(account: str, call: str) -> str:
        """String: an account's plan does not include this call."""
        return f"provider:{account}:off:{call}"

    @staticmethod
    def provider_pause(account: str) -> str:
        """String: the provider asked the account to wait."""
        return f"provider:{account}:pause"

    @staticmethod
    def lease(name: str) -> str:
        """String: who holds the lease now."""
        return f"{{lease:{name}}}:holder"

    @staticmethod
    def lease_epoch(name: str) -> str:
        """String: the lease's last epoch, kept when nobody holds it."""
        return f"{{lease:{name}}}:epoch"

    @staticmethod
    def report(service: str, instance: str) -> str:
        """String: the last report of an instance."""
        return f"report:{service}:{instance}"

    @staticmethod
    def commands(service: str, instance: str) -> str:
        """List: commands that an instance has not yet taken."""
        return f"commands:{service}:{instance}"

    @staticmethod
    def reply(command_id: str) -> str:
        """List with one element: the answer to a command."""
        return f"reply:{command_id}"


class MarketDataCacheTTL:
    """Seconds that MDC's keys live. A lease lives as long as its holder asks for.

    How long each kind of reference data lives is in one table, ``kinds.py``: the key of a value
    lives while it is fresh or may be shown as stale.
    """

    REFERENCE_S: Final = 4 * DAY_S
    LEASE_EPOCH_S: Final = 400 * DAY_S
    CORRECTIONS_S: Final = 30 * DAY_S
    STAGED_S: Final = 60
    INTEREST_S: Final = 30
    REPORT_S: Final = 10
    COMMANDS_S: Final = 60
    REPLY_S: Final = 60

    @staticmethod
    def known_s(kind: str) -> int:
        """Seconds that a value of a kind lives at most, jitter included."""
        known = KINDS[kind]
        return int(max(known.fresh_s, known.negative_s) * (1 + JITTER)) + known.stale_s


class MarketDataCacheBounds:
    """How long MDC's lists and streams may grow; the oldest entries go first."""

    REFERENCE_CHANGES: Final = 200
    INTEREST: Final = 10_000
