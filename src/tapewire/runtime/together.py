"""Work that goes on together until some of it ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def until_one_ends(*work: Coroutine[Any, Any, _T]) -> _T:
    """Await all of ``work`` until one ends; what it gives, or raises, comes from here.

    The others are cancelled, and have ended when this returns, however it does. Of several
    that end at once a failure is raised, else what the first of them gives is returned.
    """
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return [task.result() for task in tasks if task.done()][0]  # noqa: RUF015 - all may raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
