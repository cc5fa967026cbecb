"""What ends a command: one line for people, and the exit code for scripts.

==== ==========================================================
0    done
1    failed
2    usage: an option, a setting, a source
3    refused by the provider
4    a server, file or folder is missing or cannot be reached
130  interrupted
==== ==========================================================
"""

import errno
import os
import sys
import traceback
from typing import Final, NamedTuple

from typer.exceptions import TyperException

from tapewire.runtime.redact import redact
from tapewire.runtime.service import DependencyMissing, ServiceError, UsageError

FAILED: Final = 1
INTERRUPTED: Final = 130

_MISSING: Final = (FileNotFoundError, NotADirectoryError, PermissionError, ConnectionError)


class Ending(NamedTuple):
    """How a command ended: its exit code, and the line for stderr (empty: say nothing)."""

    code: int
    message: str


def explain(error: Exception) -> Ending:
    """Turn what a command raised into its ending."""
    if isinstance(error, ServiceError):
        return Ending(error.exit_code, str(error))
    if isinstance(error, TyperException):
        return Ending(error.exit_code, _usage(error))
    if isinstance(error, OSError):
        return _of_system(error)
    for kinds, code in _by_kind():
        if isinstance(error, kinds):
            return Ending(code, str(error))
    hint = "LOG_LEVEL=DEBUG shows where"
    return Ending(FAILED, f"unexpected {type(error).__name__}: {error} ({hint})")


def report(error: Exception) -> int:
    """Print what ended the command on stderr; return the exit code.

    The traceback is shown with ``LOG_LEVEL=DEBUG`` only. Passwords in URLs are hidden.
    """
    return say(error).code


def say(error: Exception) -> Ending:
    """Print what ended the command; also how a service of the foreground says it."""
    ending = explain(error)
    if os.environ.get("LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exception(error)
    if ending.message:
        for line in redact(ending.message).splitlines():
            sys.stderr.write(f"tapewire: {line}\n")
    return ending


def _usage(error: TyperException) -> str:
    """A mistake on the command line, and where its help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tapewire"
    message = error.format_message().replace("\n", " ").rstrip(".")
    return f"{message}; see {command} --help" if message else ""


def _of_system(error: OSError) -> Ending:
    """A reader that went away is no failure worth words; the rest names its file."""
    if error.errno == errno.EPIPE:
        return Ending(FAILED, "")
    code = DependencyMissing.exit_code if isinstance(error, _MISSING) else FAILED
    where = f"{error.filename}: " if error.filename else ""
    return Ending(code, f"{where}{error.strerror or error}")


def _by_kind() -> tuple[tuple[tuple[type[Exception], ...], int], ...]:
    """Exceptions of the parts and their exit codes; loaded only when something failed."""
    from tapewire.caches.cache import CacheError
    from tapewire.caches.decoding import UndecodableRowError
    from tapewire.market.sessions import CalendarError
    from tapewire.providers.capture import CaptureError
    from tapewire.queues.queue import QueueError
    from tapewire.simulators.faults import FaultError
    from tapewire.simulators.sources import SourceError

    return (
        ((CacheError, QueueError), DependencyMissing.exit_code),
        (
            (SourceError, FaultError, CaptureError, CalendarError, UndecodableRowError),
            UsageError.exit_code,
        ),
    )
