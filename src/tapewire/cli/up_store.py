"""The embedded server of ``tapewire up``: whose data it holds, and that it keeps running."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.embedded import EmbeddedServer, LockFile
from tapewire.caches.replay_mark import Holding, erase, erase_and_mark, holding, mark, take_mark
from tapewire.runtime.service import UsageError

SIMULATED: Final = "simulator"
LOOK_S: Final = 0.5
"""Time between two looks whether the server still runs."""


def data_path_lock(folder: Path) -> LockFile:
    """Held by the one data path of a data folder while it runs, also after its parent's end."""
    return LockFile(folder / "core.lock")


async def prepare_store(url: str, *, live: bool) -> None:
    """Simulated results begin empty and never mix with live ones.

    Raises UsageError when simulated data would replace live data.
    """
    held = await holding(url)
    if live:
        if held is Holding.REPLAY:
            await erase(url)
            await take_mark(url)
        return
    if held is Holding.LIVE:
        raise UsageError(
            "the data folder holds live data, which simulated data would replace; set"
            " TAPEWIRE_DATA_DIR to another folder for the simulator, or start with --feed live"
        )
    await erase_and_mark(url, SIMULATED)


async def keep_store(server: EmbeddedServer, say: Callable[[str], None], *, live: bool) -> None:
    """For ever: start the server again when it has gone.

    What it had not written to its disk is gone too; the processes write their rows anew.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        if await server.is_running():
            continue
        say("the embedded server has ended; starting it again")
        await server.start()
        if not live:
            await _mark_again(server.wdc_url)


async def _mark_again(url: str) -> None:
    try:
        await mark(url, SIMULATED)
    except CacheUnavailable:
        return  # it has ended once more: the next look starts it, and then marks it
