"""What an analyzer tells of itself so that a processor can run it: built-in or a plug-in.

A package adds one by an entry point of the group ``tapewire.analyzers`` whose object is a
`Plugin`; its name is what ``TAPEWIRE_ANALYZERS`` switches on. ``docs/plugins.md`` walks
through an example.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from tapewire.analyzers.analyzer import Analyzer
from tapewire.analyzers.part import Part
from tapewire.market.sessions import SessionCalendar
from tapewire.model.feeds import Feed
from tapewire.model.streams import Stream

BAR_STREAMS: Final = frozenset({Stream.TRADES, Stream.AGGREGATE, Stream.TICKS})
"""Streams that are folded into bars: a ``Part`` may take them."""


class Context(Struct, frozen=True):
    """What a factory is given: one shard's stream, the calendar, and the options set.

    ``options`` are texts: ``spread_watch?minutes=15`` gives ``{"minutes": "15"}``.
    """

    stream: Stream
    calendar: SessionCalendar
    options: Mapping[str, str]

    def number(self, name: str, default: float) -> float:
        """An option as a number; ValueError that names it when it is none."""
        text = self.options.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"option {name}={text!r} is not a number") from None


Make = Callable[[Context], Part | Analyzer | None]
"""Builds a fresh analyzer for one ownership of one shard; None: nothing to do there.

A ``Part`` takes the bars of ``trades``, ``aggregate`` or ``ticks``; an ``Analyzer`` of another
stream takes its events, and also has ``second_ms`` and ``skipped`` (``services/shard_state.py``).
Raise ValueError for options that make no sense.
"""


class Plugin(Struct, frozen=True, kw_only=True):
    """One analyzer.

    ``streams``: those that it folds; none means whichever quote records fold
    (``QUOTE_SOURCE``, and ``ticks``). ``feeds``: what it publishes beyond the feed table; each
    needs a ``row`` to be served and dumped. ``options``: the names that it understands.
    ``default``: whether it is on unless the setting says otherwise (built-in ones only).
    """

    make: Make
    streams: tuple[Stream, ...] = ()
    feeds: tuple[Feed, ...] = ()
    options: frozenset[str] = frozenset()
    default: bool = False
