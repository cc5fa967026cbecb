"""Which analyzers are on: ``TAPEWIRE_ANALYZERS`` against the built-in ones and entry points.

Only what the setting names is loaded, so a broken package that nobody asked for harms nothing;
one that is asked for ends the command before anything is folded, with its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from msgspec import Struct

from tapewire.analyzers.analyzer import Analyzer
from tapewire.analyzers.daily_range import DailyRangeAnalyzer, RangeRules
from tapewire.analyzers.halts import HaltFold
from tapewire.analyzers.massive_data import STREAMS, MassiveDataAnalyzer
from tapewire.analyzers.part import Part
from tapewire.analyzers.plugin import BAR_STREAMS, Context, Plugin
from tapewire.analyzers.top_trades import TopTradesAnalyzer
from tapewire.caches.keys import WidgetDataCacheKeys
from tapewire.market.sessions import SessionCalendar
from tapewire.model.feeds import FeedTakenError, declare
from tapewire.model.streams import Stream
from tapewire.runtime.service import UsageError

GROUP: Final = "tapewire.analyzers"

DEFAULT: Final = "default"
"""Stands for everything that is on unless somebody says otherwise."""

CORE: Final = ("quotes", "leaderboard", "candles")
"""Built-in analyzers that ``Analysis`` joins itself, since they share their state."""

_PART: Final = ("cut", "clock", "finish", "gap", "refer", "drain", "renew", "hashes", "restore")
_ANALYZER: Final = (
    *("stream", "apply", "refer", "drain", "renew", "first_hashes", "further_hashes", "restore"),
    *("second_ms", "skipped"),
)


class PluginError(UsageError):
    """An analyzer that is asked for cannot run."""


def _daily_range(context: Context) -> Part:
    rules = RangeRules()
    return DailyRangeAnalyzer(
        RangeRules(
            cooldown_s=context.number("cooldown_s", rules.cooldown_s),
            near_pct=context.number("near_pct", rules.near_pct),
            rising=int(context.number("rising", rules.rising)),
            running_cooldown_s=context.number("running_cooldown_s", rules.running_cooldown_s),
        )
    )


def _massive_data(context: Context) -> Analyzer | None:
    text = context.options.get("streams", "+".join(STREAMS))
    wanted = text.split("+")
    if wrong := [name for name in wanted if name not in set(STREAMS)]:
        raise ValueError(f"streams={text!r} names {wrong[0]!r}; expected {'+'.join(STREAMS)}")
    return MassiveDataAnalyzer(context.stream) if context.stream in wanted else None


BUILT_IN: Final[Mapping[str, Plugin]] = {
    "daily_range": Plugin(
        make=_daily_range, options=frozenset(RangeRules.__struct_fields__), default=True
    ),
    "top_trades": Plugin(
        make=lambda context: TopTradesAnalyzer(),
        streams=(Stream.TRADES, Stream.TICKS),
        default=True,
    ),
    "massive_data": Plugin(
        make=_massive_data, streams=STREAMS, options=frozenset({"streams"}), default=False
    ),
    "halts": Plugin(
        make=lambda context: HaltFold(context.calendar), streams=(Stream.HALTS,), default=True
    ),
}


class Chosen(Struct, frozen=True):
    """An analyzer that is on, with the options set for it. ``origin`` names it in messages."""

    name: str
    origin: str
    plugin: Plugin
    options: Mapping[str, str]

    def make(self, stream: Stream, calendar: SessionCalendar) -> Part | Analyzer | None:
        """A fresh one for a shard of this stream; PluginError when it is not what it should be."""
        try:
            made = self.plugin.make(Context(stream, calendar, self.options))
        except Exception as error:
            raise PluginError(
                f"{self.origin} cannot be built: {type(error).__name__}: {error}"
            ) from error
        if made is not None and not _fits(made, stream):
            raise PluginError(
                f"{self.origin} built a {type(made).__name__} for the stream {stream.value},"
                f" which lacks {', '.join(_lacking(made, stream))}; expected an Analyzer"
                f"{' or a Part' if stream in BAR_STREAMS else ''} (docs/plugins.md)"
            )
        return made


def choose(listed: Sequence[str]) -> tuple[Chosen, ...]:
    """The analyzers beyond ``CORE`` that a setting such as ``default,mine?pct=2`` turns on.

    Loads plug-ins and declares their feeds. Raises PluginError for a name that nobody has,
    options that an analyzer does not know, and packages that cannot be loaded.
    """
    chosen: dict[str, Chosen] = {}
    for name, options in _expanded(listed):
        if name not in CORE:
            chosen[name] = _find(name, options)
    return tuple(chosen.values())


def core_of(listed: Sequence[str]) -> frozenset[str]:
    """Those of ``CORE`` that the setting turns on."""
    return frozenset(name for name, _ in _expanded(listed) if name in CORE)


def is_part(made: Part | Analyzer) -> bool:
    """Whether it takes bars, not events."""
    return not _missing(made, _PART)


def _expanded(listed: Iterable[str]) -> Iterable[tuple[str, dict[str, str]]]:
    for one in listed:
        name, _, query = one.partition("?")
        if name == DEFAULT:
            yield from ((core, {}) for core in CORE)
            yield from ((built, {}) for built, plugin in BUILT_IN.items() if plugin.default)
        else:
            pairs = (option.partition("=") for option in query.split("&") if option)
            yield name, {option: text for option, _, text in pairs}


def _find(name: str, options: dict[str, str]) -> Chosen:
    plugin, origin = BUILT_IN.get(name), f"analyzer {name!r}"
    if plugin is None:
        plugin, origin = _from_packages(name)
    unknown = sorted(options.keys() - plugin.options)
    if unknown:
        known = ", ".join(sorted(plugin.options)) or "none"
        raise PluginError(f"{origin} has no option {', '.join(unknown)}; it has: {known}")
    return Chosen(name, origin, plugin, options)


def _from_packages(name: str) -> tuple[Plugin, str]:
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        there = sorted({*CORE, *BUILT_IN, *(e.name for e in entry_points(group=GROUP))})
        raise PluginError(
            f"TAPEWIRE_ANALYZERS names {name!r}, which is not installed here;"
            f" there are: {', '.join(there)}, and {DEFAULT} for those that are usually on"
        )
    origins = sorted({_origin(entry) for entry in found})
    if len(origins) > 1:
        raise PluginError(f"several packages bring an analyzer {name!r}: {'; '.join(origins)}")
    plugin = _load(found[0])
    try:
        declare(*plugin.feeds)
    except FeedTakenError as error:
        raise PluginError(f"{origins[0]}: {error}") from error
    return plugin, origins[0]


def _origin(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"analyzer {entry.name!r} of {package} (entry point {entry.value})"


def _load(entry: EntryPoint) -> Plugin:
    try:
        plugin = entry.load()
    except Exception as error:
        raise PluginError(
            f"{_origin(entry)} cannot be loaded: {type(error).__name__}: {error}."
            " Repair or remove the package, or take the name out of TAPEWIRE_ANALYZERS"
        ) from error
    if not isinstance(plugin, Plugin):
        raise PluginError(
            f"{_origin(entry)} is a {type(plugin).__name__};"
            " expected a tapewire.analyzers.plugin.Plugin"
        )
    reserved = WidgetDataCacheKeys.RESERVED | {WidgetDataCacheKeys.PRIVATE.rstrip(":")}
    if taken := sorted(reserved & {feed.family for feed in plugin.feeds}):
        raise PluginError(f"{_origin(entry)}: feeds may not be called {', '.join(taken)}")
    return plugin


def _fits(made: object, stream: Stream) -> bool:
    return not _lacking(made, stream)


def _lacking(made: object, stream: Stream) -> list[str]:
    """What keeps an object from being run; the shorter list where it may be either kind."""
    as_analyzer, as_part = _missing(made, _ANALYZER), _missing(made, _PART)
    if stream not in BAR_STREAMS:
        return as_analyzer
    return min(as_part, as_analyzer, key=len)


def _missing(made: object, names: Iterable[str]) -> list[str]:
    return [name for name in names if not hasattr(made, name)]
