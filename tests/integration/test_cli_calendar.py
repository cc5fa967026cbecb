"""A correction of the calendar reaches a live process, and no replay."""

import asyncio

from tapewire.caches.connection import Link
from tapewire.caches.corrections import CalendarKeeper, CorrectionStore
from tapewire.cli.composed import Alongside
from tapewire.cli.reference_parts import follow_calendar
from tapewire.cli.wiring import Wiring
from tapewire.market.corrections import Correction
from tapewire.market.sessions import SessionCalendar
from tapewire.model.streams import Stream

FRIDAY = "2026-11-20"


async def test_a_live_process_starts_with_what_was_corrected(redis_url: str) -> None:
    link, alongside = Link(redis_url), Alongside()
    await CorrectionStore(link).add("XNYS", [Correction(FRIDAY, False)], FRIDAY)
    live = Wiring(streams=(Stream.TRADES,))
    replays = [Wiring(streams=(), lossless=True), Wiring(streams=(), once=True)]
    for wiring in (live, *replays):
        await follow_calendar(link, wiring, alongside)
    assert not live.calendar.day(FRIDAY).is_session
    assert all(one.calendar.day(FRIDAY).is_session for one in replays)
    await alongside.stop()
    await link.close()


async def test_what_is_announced_later_is_followed(redis_url: str) -> None:
    link, calendar = Link(redis_url), SessionCalendar.load("XNYS")
    store, looked = CorrectionStore(link), asyncio.Queue[None]()

    async def until_told(_: float) -> None:
        await looked.get()

    keeper = CalendarKeeper(store, calendar)
    following = asyncio.create_task(keeper.follow(sleep=until_told))
    close_ms = calendar.day(FRIDAY).close_ms
    early = Correction(FRIDAY, True, close_ms=close_ms - 3_600_000)
    await store.add("XNYS", [early, Correction(FRIDAY[:-2] + "31", False, name="no such day")], "")
    looked.put_nowait(None)
    async with asyncio.timeout(5):
        while not calendar.revision:
            looked.put_nowait(None)
            await asyncio.sleep(0.01)
    assert calendar.day(FRIDAY).close_ms == early.close_ms
    assert [misfit.partition(":")[0] for misfit in keeper.misfits] == ["no such day"]
    following.cancel()
    await asyncio.wait({following})
    await link.close()
