"""Files that hold one secret: a provider's key, or a token that changes while we run.

The secret is never in an error, a log line or a ``repr``; the file's path is. What was read
is hidden in all that the process writes.
"""

import logging
import stat
from hashlib import sha256
from pathlib import Path
from typing import Final

from tapewire.runtime.redact import hide
from tapewire.runtime.service import UsageError

_log: Final = logging.getLogger(__name__)

MAX_BYTES: Final = 65_536
"""More than any key or token has; what is longer is another file."""

_OTHERS_MAY_READ: Final = stat.S_IRGRP | stat.S_IROTH


class KeyFileError(UsageError):
    """The file cannot be read, or holds something else than one word; it says which file."""


def read_key(path: Path, setting: str) -> str:
    """The one word that a file holds. Raises KeyFileError, which names ``setting`` and path."""
    try:
        with path.open("rb") as file:
            words = file.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # A decoding error's own text shows what was read.
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise KeyFileError(
            f"{setting}: cannot read {path} ({why}); expected a readable text file that holds the"
            " key or token and nothing else"
        ) from None
    found = words.split()
    if len(found) != 1 or len(words) > MAX_BYTES:
        raise KeyFileError(
            f"{setting}: {path} holds {len(found)} words; expected the key or token and nothing"
            " else: write it there, or remove the file"
        )
    hide(found[0])
    return found[0]


class TokenFile:
    """A token that somebody writes anew while we run: it is read each time it is needed.

    ``setting`` names the file in errors. That others can read it is warned about once.
    """

    def __init__(self, path: Path, setting: str) -> None:
        self.path = path.expanduser()
        self.setting = setting
        self._known: bytes | None = None
        self._warned = False

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r}, {self.setting!r})"

    def read(self) -> str:
        """The token as it is now. Raises KeyFileError."""
        self._known = b""
        token = read_key(self.path, self.setting)
        self._known = _mark(token)
        self._look_at_permissions()
        return token

    def has_changed(self) -> bool:
        """Whether there is a token now, and another one than ``read`` found the last time.

        False before the first ``read``, and while the file holds no token.
        """
        if self._known is None:
            return False
        try:
            return _mark(read_key(self.path, self.setting)) != self._known
        except KeyFileError:
            return False

    def _look_at_permissions(self) -> None:
        if self._warned:
            return
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return  # replaced just now: the next reading looks again
        if mode & _OTHERS_MAY_READ:
            self._warned = True
            _log.warning(
                "%s: others than its owner can read %s (mode %03o); chmod 600 it",
                self.setting,
                self.path,
                stat.S_IMODE(mode),
            )


def _mark(token: str) -> bytes:
    """What tells one token from another without keeping it."""
    return sha256(token.encode()).digest()
