"""One service on one line of ``tapewire status``."""

from typing import Any

from tapewire.cli.status import active_broker, line
from tapewire.runtime.service import Report, State


def report(**detail: Any) -> Report:
    return Report("listener", "0", State.RUNNING, True, 0, detail=detail)


def test_a_listener_of_brokers_names_the_active_one() -> None:
    listening = report(provider={"active": "dhan", "brokers": {}})
    assert line(listening, 1000)["notes"] == "ticks of dhan"
    assert line(listening, 1000)["broker"] == "dhan"
    assert line(report(provider={"active": None}), 1000)["notes"] == "ticks of nobody"


def test_others_name_none() -> None:
    assert active_broker(report(provider={"connections": 1}).detail) == ""
    assert active_broker(report().detail) == ""
    assert line(report(), 1000)["notes"] == " "
