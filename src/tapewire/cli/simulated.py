"""What ``tapewire simulate`` is asked for, and where a source begins that was begun before."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tapewire.cli.wall_clock import NEW_YORK, WallClock
from tapewire.services.reference import ReferenceSettings
from tapewire.simulators.pacing import Speed, SpeedKind
from tapewire.simulators.source_strings import completed

STARTING_S: Final = 15.0
"""A simulator that starts within this of when playing was begun has not been restarted."""


class Beginning(NamedTuple):
    """Event time of a source that is left out, and then what is played at once, in ms."""

    skipped_ms: int = 0
    at_once_ms: int = 0


class Asked(NamedTuple):
    """One ``tapewire simulate`` as asked for."""

    sources: Sequence[str] | None
    speed: str
    seed: int | None
    port: int
    rest_port: int
    key: str | None
    faults: tuple[str, ...]
    once: bool
    began_ms: int
    begin: Beginning
    delayed: bool


def beginning(began_ms: int, now_ms: int, speed: str, head_start_s: int) -> Beginning:
    """Where to begin a source that was first begun at ``began_ms``.

    The first time ``head_start_s`` of it come at once; a simulator that is started again
    plays on from where it would be.
    """
    pace, elapsed_ms = Speed.parse(speed), now_ms - began_ms
    if pace.kind is not SpeedKind.TIMES:
        return Beginning()
    if elapsed_ms < STARTING_S * 1000:
        return Beginning(at_once_ms=head_start_s * 1000)
    return Beginning(skipped_ms=head_start_s * 1000 + int(elapsed_ms * pace.value))


def sources_of(
    texts: Sequence[str] | None, seed: int | None, now_ms: int, clock: WallClock = NEW_YORK
) -> list[str]:
    """The ``SOURCE`` strings to play; generators get the seed, and the current session's date.

    With that date the reference service, which goes by the wall clock, finds the rows that
    the generated events are measured against. A date in the string stays.
    """
    date = session_date(now_ms, clock)
    defaults = ({} if seed is None else {"seed": seed}) | {"date": date}
    return [completed(text, defaults) for text in texts or ["generator"]]


def session_date(now_ms: int, clock: WallClock = NEW_YORK) -> str:
    """The session that trades now, or the next one: half an hour before 04:00 it is the new day."""
    day = clock.calendar.day_at(now_ms + ReferenceSettings().lead_ms)
    return day.date if day.is_session else clock.calendar.next_session(day.date).date
