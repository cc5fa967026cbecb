"""Work that goes on together until some of it ends."""

import asyncio

import pytest

from tapewire.runtime.together import until_one_ends


class Work:
    """Something that goes on until it is told to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.cancelled = False

    async def go(self, gives: str) -> str:
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if gives == "failure":
            raise ValueError(gives)
        return gives


async def test_what_ends_first_is_returned_and_the_others_are_cancelled() -> None:
    short, long = Work(), Work()
    short.end.set()
    assert await until_one_ends(long.go("long"), short.go("short")) == "short"
    assert long.cancelled


async def test_a_failure_is_raised_also_beside_something_that_ends_well() -> None:
    well, ill, long = Work(), Work(), Work()
    well.end.set()
    ill.end.set()
    with pytest.raises(ValueError, match="failure"):
        await until_one_ends(well.go("well"), ill.go("failure"), long.go("long"))
    assert long.cancelled


async def test_who_is_cancelled_cancels_all_of_it() -> None:
    works = [Work(), Work()]
    waiting = asyncio.create_task(until_one_ends(*(work.go("late") for work in works)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert all(work.cancelled for work in works)
