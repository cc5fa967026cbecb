"""The file that ``tapewire capture`` and ``tapewire run listener --capture`` write."""

from contextlib import AsyncExitStack
from pathlib import Path

from tapewire.cli.wiring import Wiring, topics_of
from tapewire.providers.capture import CaptureWriter, Header
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings


def open_capture(
    path: Path, settings: Settings, wiring: Wiring, stack: AsyncExitStack
) -> CaptureWriter:
    """A new capture file that closes with ``stack``; UsageError when there is one already."""
    header = Header("massive", settings.massive_url, topics_of(settings, wiring.streams))
    try:
        writer = CaptureWriter(path, header)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already, and captures are not overwritten") from error
    stack.callback(writer.close)
    return writer
