"""One service on one line of ``tapewire status``."""

from typing import Any

from tapewire.cli.status import active_broker, last_switch, line
from tapewire.runtime.service import Report, State

OPEN_MS = 1_795_146_300_000
DAY_MS = 86_400_000


def report(**detail: Any) -> Report:
    return Report("listener", "0", State.RUNNING, True, 0, detail=detail)


def test_a_listener_of_brokers_names_the_active_one() -> None:
    listening = report(provider={"active": "dhan", "brokers": {}})
    assert line(listening, 1000)["notes"] == "ticks of dhan"
    assert line(listening, 1000)["broker"] == "dhan"
    assert line(report(provider={"active": None}), 1000)["notes"] == "ticks of nobody"


def switched(*changes: tuple[str | None, str | None, str]) -> list[dict[str, Any]]:
    """Changes of the broker a minute apart, from 09:15 in India on 2026-11-20."""
    return [
        {
            "at_ms": OPEN_MS + number * 60_000,
            "source": source,
            "target": target,
            "reason": reason,
            "hole": False,
        }
        for number, (source, target, reason) in enumerate(changes)
    ]


def test_the_last_change_of_the_broker_is_told_with_its_time_and_reason() -> None:
    changes = switched((None, "upstox", "start"), ("upstox", "fyers", "silent"))
    shown = line(report(provider={"active": "fyers", "last_switches": changes}), OPEN_MS + 90_000)
    assert shown["notes"] == "ticks of fyers since 09:16:00 (upstox: silent)"
    assert (shown["switched_ms"], shown["switch"]) == (OPEN_MS + 60_000, "upstox: silent")
    later = line(report(provider={"active": "fyers", "last_switches": changes}), OPEN_MS + DAY_MS)
    assert "since 2026-11-20 09:16:00 (" in later["notes"]


def test_the_first_appointment_is_no_change_and_the_loss_of_all_is_one() -> None:
    first = switched((None, "upstox", "start"))
    assert last_switch({"provider": {"active": "upstox", "last_switches": first}}) is None
    lost = switched((None, "upstox", "start"), ("upstox", None, "ended"))
    assert str(last_switch({"provider": {"last_switches": lost}})) == "upstox: ended"
    again = switched(
        (None, "upstox", "start"), ("upstox", None, "ended"), (None, "upstox", "start")
    )
    assert str(last_switch({"provider": {"last_switches": again}})) == "nobody: start"


def test_others_name_none() -> None:
    assert active_broker(report(provider={"connections": 1}).detail) == ""
    assert active_broker(report().detail) == ""
    assert last_switch(report().detail) is None
    assert line(report(), 1000)["notes"] == " "
