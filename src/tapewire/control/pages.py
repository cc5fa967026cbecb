"""The dashboard's files, and its page with our configuration put in."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tapewire.runtime.service import DependencyMissing

_HEAD_END: Final = "</head>"


class Dashboard:
    """A built dashboard: a folder with ``index.html`` and ``assets``.

    The page is read again once its file has changed, since it names assets by their content:
    after a build those of the page before are gone. Raises DependencyMissing when it has not
    been built.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = folder / "index.html"
        self._read_at = self._stamp()
        self._page = self._read()

    def _stamp(self) -> tuple[int, int, int]:
        """What tells one build's page from another's: time, size and inode."""
        try:
            found = self._index.stat()
        except OSError as error:
            raise self._missing(error) from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> str:
        try:
            page = self._index.read_text(encoding="utf-8")
        except OSError as error:
            raise self._missing(error) from error
        if _HEAD_END not in page:
            raise DependencyMissing(f"{self._index} has no {_HEAD_END}; build the dashboard again")
        return page

    def _missing(self, error: OSError) -> DependencyMissing:
        return DependencyMissing(
            f"there is no built dashboard at {self.folder} ({error.strerror}); run `make up`,"
            " which builds it, or name its folder with TAPEWIRE_WEB_DIR"
        )

    def page(self, config: dict[str, Any]) -> str:
        """``index.html`` with the configuration as a JSON block, which scripts may read."""
        self._refresh()
        text = json.dumps(config, separators=(",", ":")).replace("<", "\\u003c")
        block = f'<script type="application/json" id="tapewire-config">{text}</script>'
        return self._page.replace(_HEAD_END, f"{block}{_HEAD_END}", 1)

    def _refresh(self) -> None:
        """Read the page again if a build replaced it; while one writes, the old one stays."""
        with suppress(DependencyMissing):
            stamp = self._stamp()
            if stamp != self._read_at:
                self._page = self._read()
                self._read_at = stamp


def default_folder() -> Path:
    """Where a checkout builds the dashboard, or where a package brings it along."""
    packaged = Path(__file__).parent / "dist"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "web" / "dist"
