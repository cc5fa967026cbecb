"""``tapewire status``: every living service of the deployment, as it reports itself."""

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapewire.cli.options import Json
from tapewire.cli.output import Column, Form, Printer, Style, count
from tapewire.cli.wall_clock import IN_INDIA

if TYPE_CHECKING:
    from tapewire.runtime.service import Report

COMMON: Final = (
    Column("service", "service"),
    Column("instance", "#"),
    Column("state", "state"),
    Column("healthy", "healthy", Style.FLAG),
    Column("for_ms", "for", Style.DURATION),
    Column("events", "events/s", Style.COUNT),
    Column("lag_ms", "lag", Style.DURATION),
)
TABLE: Final = (*COMMON, Column("notes", "", wraps=True))
PLAIN: Final = (
    *COMMON,
    Column("lost", "lost", Style.COUNT),
    Column("dropped", "dropped", Style.COUNT),
    Column("waiting", "waiting", Style.COUNT),
    Column("broker", "broker"),
    Column("switched_ms", "switched", Style.DATE_TIME_IN_INDIA),
    Column("switch", "switch"),
    Column("reason", "reason"),
)


_WORDS: Final = {"processor": {"dropped": "skipped"}}
"""What a processor did not apply is not lost: it was seen, and could or need not be used."""


def status(json: Json = False) -> None:
    """Show every service: state, health, rates, lag, gaps, drops, queues.

    From the registry at MDC_REDIS_URL, else from the embedded server.
    """
    from tapewire.cli.clock import wall_ms
    from tapewire.cli.edge import load
    from tapewire.cli.stores import reports

    found = asyncio.run(reports(load().settings))
    if not found:
        sys.stderr.write("tapewire: no service has reported in the last 10 seconds\n")
        return
    printer = Printer.for_stdout(json=json)
    now_ms = wall_ms()
    lines = found if printer.form is Form.JSON else [line(report, now_ms) for report in found]
    printer.rows(lines, TABLE if printer.form is Form.TABLE else PLAIN)


def line(report: "Report", now_ms: int) -> dict[str, Any]:
    """One service on one line: sums instead of figures by stream, shard and reason."""
    sums = {
        "lost": sum(report.gaps.values()),
        "dropped": sum(report.drops.values()),
        "waiting": sum(report.queues.values()),
    }
    active, switch = active_broker(report.detail), last_switch(report.detail)
    since = f" since {_moment(switch.at_ms, now_ms)} ({switch})" if switch else ""
    notes = [f"ticks of {active}{since}"] if active else []
    words = _WORDS.get(report.service, {})
    notes += [f"{words.get(name, name)} {count(total)}" for name, total in sums.items() if total]
    return sums | {
        "broker": active,
        "switched_ms": None if switch is None else switch.at_ms,
        "switch": "" if switch is None else str(switch),
        "service": report.service,
        "instance": report.instance,
        "state": report.state,
        "healthy": report.healthy,
        "for_ms": now_ms - report.since_ms,
        "events": _events_per_second(report.rates),
        "lag_ms": report.lag_ms,
        "reason": report.reason,
        "notes": "; ".join([*notes, *([report.reason] if report.reason else [])]) or " ",
    }


def active_broker(detail: Mapping[str, Any]) -> str:
    """The broker that a listener takes its ticks from; empty for any other service."""
    provider = detail.get("provider")
    if not isinstance(provider, Mapping) or "active" not in provider:
        return ""
    return str(provider["active"] or "nobody")


class Switched(NamedTuple):
    """The last change of the active broker, at wall-clock ms: from whom, and why."""

    at_ms: int
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def last_switch(detail: Mapping[str, Any]) -> Switched | None:
    """The last time that a listener changed its broker; None before, and of other services."""
    provider = detail.get("provider")
    switches = provider.get("last_switches") if isinstance(provider, Mapping) else None
    if not switches or (len(switches) == 1 and not switches[0]["source"]):
        return None  # the first appointment is no change
    last = switches[-1]
    return Switched(last["at_ms"], last["source"] or "nobody", last["reason"])


def _moment(at_ms: int, now_ms: int) -> str:
    """India's clock, with the date when that was not today."""
    is_today = IN_INDIA.date_of(at_ms) == IN_INDIA.date_of(now_ms)
    return IN_INDIA.clock(at_ms) if is_today else IN_INDIA.date_time(at_ms)


def _events_per_second(rates: Mapping[str, float]) -> int | None:
    """Events of all streams; None for a service that has none."""
    events = [rate for name, rate in rates.items() if not name.endswith("_batches")]
    return round(sum(events)) if events else None
