"""How long a page's scripts ran in each frame that it drew, from a browser's trace.

A trace is what Chromium's ``Tracing`` domain collects: events with a start (``ts``), a
length (``dur``) and the processor time spent meanwhile (``tdur``), all in microseconds. A
frame begins with ``BeginMainThreadFrame``; what runs on the main thread until the next one
belongs to it. Processor time is what a page costs; the length also holds what the machine
did instead when others wanted its cores.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

Event = Mapping[str, Any]

CATEGORIES: Final = ("devtools.timeline", "disabled-by-default-devtools.timeline.frame", "v8")
FRAME: Final = "BeginMainThreadFrame"
SCRIPTS: Final = frozenset(
    {
        "EvaluateScript", "EventDispatch", "FireAnimationFrame", "FireIdleCallback",
        "FunctionCall", "MajorGC", "MinorGC", "RunMicrotasks", "TimerFire", "v8.compile",
    }
)  # fmt: skip
"""What the browser's own tools count as scripting, garbage collection included."""


class Scripting(NamedTuple):
    """Scripting in one frame, ms: processor time, and time on the clock."""

    cpu_ms: float
    wall_ms: float


def scripting(events: Sequence[Event]) -> list[Scripting]:
    """What scripts took in every frame that had some.

    A script inside another one counts once. Layout that a script forces counts as its own.
    """
    thread = _main_thread(events)
    ours = [event for event in events if (event["pid"], event["tid"]) == thread]
    begins = sorted(event["ts"] for event in ours if event["name"] == FRAME)
    cpu_us: Counter[int] = Counter()
    wall_us: Counter[int] = Counter()
    for script in _outermost(ours):
        frame = bisect_right(begins, script["ts"])
        cpu_us[frame] += script["tdur"]
        wall_us[frame] += script["dur"]
    whole = range(1, len(begins))  # what came before the first, and the last one, are cut off
    return [Scripting(cpu_us[k] / 1000, wall_us[k] / 1000) for k in whole if wall_us[k]]


def _main_thread(events: Iterable[Event]) -> tuple[int, int]:
    """The thread that draws: of all those that begin frames the busiest."""
    busy = Counter((event["pid"], event["tid"]) for event in events if event["name"] == FRAME)
    if not busy:
        raise ValueError(f"the trace has no {FRAME}; nothing was drawn while it was taken")
    return busy.most_common(1)[0][0]


def _outermost(events: Iterable[Event]) -> Iterator[Event]:
    """Scripts that do not run inside another one."""
    scripts = [each for each in events if each["name"] in SCRIPTS and "tdur" in each]
    end = -1
    for each in sorted(scripts, key=lambda event: (event["ts"], -event["dur"])):
        if each["ts"] >= end:
            end = each["ts"] + each["dur"]
            yield each
