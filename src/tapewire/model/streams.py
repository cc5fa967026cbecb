"""Streams, shards and their names.

A stream is one kind of event (all trades, all aggregates, ...). It is split into
``N`` shards by ``crc32(symbol) % N``; a shard is named ``<stream>.<k>`` everywhere:
in Redis key tags, in logs, in ``status``.
"""

from enum import StrEnum
from typing import NamedTuple, Self


class Stream(StrEnum):
    """The kinds of events that listeners publish (``components.md`` 1)."""

    TRADES = "trades"
    AGGREGATE = "aggregate"
    QUOTES = "quotes"
    HALTS = "halts"
    NEWS = "news"
    TICKS = "ticks"
    UNKNOWN = "unknown"


class Shard(NamedTuple):
    """One shard of a stream: the unit of ownership."""

    stream: Stream
    index: int  # type: ignore[assignment]  # a shard is not searched like a tuple

    @property
    def name(self) -> str:
        """``trades.0``: the name used in keys, queues, logs and status."""
        return f"{self.stream.value}.{self.index}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read ``trades.0`` back; raise ValueError that says what was expected."""
        stream, _, index = name.rpartition(".")
        try:
            return cls(Stream(stream), int(index))
        except ValueError as error:
            known = ", ".join(member.value for member in Stream)
            raise ValueError(
                f"{name!r} is not a shard name; expected STREAM.NUMBER with STREAM one of {known}"
            ) from error
