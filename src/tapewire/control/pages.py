"""The dashboard's files, and its page with our configuration put in."""

import json
from pathlib import Path
from typing import Any, Final

from tapewire.runtime.service import DependencyMissing

_HEAD_END: Final = "</head>"


class Dashboard:
    """A built dashboard: a folder with ``index.html`` and ``assets``.

    Raises DependencyMissing when it has not been built.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = folder / "index.html"
        try:
            self._page = index.read_text(encoding="utf-8")
        except OSError as error:
            raise DependencyMissing(
                f"there is no built dashboard at {folder} ({error.strerror}); run `make up`,"
                " which builds it, or name its folder with TAPEWIRE_WEB_DIR"
            ) from error
        if _HEAD_END not in self._page:
            raise DependencyMissing(f"{index} has no {_HEAD_END}; build the dashboard again")

    def page(self, config: dict[str, Any]) -> str:
        """``index.html`` with the configuration as a JSON block, which scripts may read."""
        text = json.dumps(config, separators=(",", ":")).replace("<", "\\u003c")
        block = f'<script type="application/json" id="tapewire-config">{text}</script>'
        return self._page.replace(_HEAD_END, f"{block}{_HEAD_END}", 1)


def default_folder() -> Path:
    """Where a checkout builds the dashboard, or where a package brings it along."""
    packaged = Path(__file__).parent / "dist"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "web" / "dist"
