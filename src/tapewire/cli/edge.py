"""Where the process meets its environment: settings, warnings and log lines, once."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapewire.runtime.environment import Loaded


def load(options: Mapping[str, Any] | None = None) -> "Loaded":
    """Read the settings (UsageError when one is wrong); warnings go to stderr.

    Only warnings and errors of the parts are logged: a command's result is its output.
    """
    from tapewire.runtime.environment import load_settings

    loaded = load_settings(os.environ, options)
    level = loaded.settings.log_level.value
    _log(loaded, "WARNING" if level == "INFO" else level, {})
    for warning in loaded.warnings:
        sys.stderr.write(f"tapewire: warning: {warning}\n")
    return loaded


def load_for_foreground() -> "Loaded":
    """As `load`, for a service that somebody runs by hand: the command itself tells its end."""
    loaded = load()
    if loaded.settings.log_level.value != "DEBUG":
        logging.getLogger("tapewire.runtime.runner").setLevel(logging.CRITICAL)
    return loaded


def load_for_service(options: Mapping[str, Any], **bound: str) -> "Loaded":
    """Read the settings of a long-running service; ``bound`` is on each of its log lines."""
    from tapewire.runtime.environment import load_settings
    from tapewire.runtime.logging import get_logger

    loaded = load_settings(os.environ, options)
    _log(loaded, loaded.settings.log_level.value, bound)
    for warning in loaded.warnings:
        get_logger(__name__).warning(warning)
    return loaded


def _log(loaded: "Loaded", level: str, bound: Mapping[str, str]) -> None:
    from tapewire.runtime.logging import LogOptions, configure_logging

    settings = loaded.settings
    configure_logging(
        LogOptions(
            level=level,
            form=settings.tapewire_log_format.value,
            bound=tuple(bound.items()),
            secrets=settings.secrets(),
        )
    )
