"""Who is there, and who is to get what is played."""

import asyncio

import pytest

from tapewire.simulators.audience import Audience
from tapewire.simulators.faults import LoginFaults
from tapewire.simulators.line import Line


class Guest(Line):
    """Somebody without a socket, who listens when a test says so."""

    def __init__(self, *, listens: bool) -> None:
        self.listens = listens

    @property
    def listening(self) -> bool:
        return self.listens


async def test_listeners_are_awaited_and_so_is_their_leaving() -> None:
    audience: Audience[Guest] = Audience()
    waiting = asyncio.create_task(audience.present())
    audience.lines.append(Guest(listens=False))
    audience.changed()
    await asyncio.sleep(0)
    assert not waiting.done()
    audience.lines[0].listens = True
    audience.changed()
    await asyncio.wait_for(waiting, 5.0)
    assert audience.listeners() == audience.lines
    leaving = asyncio.create_task(audience.gone())
    audience.lines.clear()
    audience.changed()
    await asyncio.wait_for(leaving, 5.0)


@pytest.mark.parametrize(("among", "taken"), [(("b",), ["b", "b", None]), (("a",), ["a", None])])
def test_a_planned_refusal_hits_the_first_login_that_it_fits(
    among: tuple[str, ...], taken: list[str | None]
) -> None:
    faults = LoginFaults()
    for name in ("b", "a", "b"):
        faults.plan(name)
    assert [faults.take(among) for _ in taken] == taken
