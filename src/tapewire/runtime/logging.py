"""Log lines: JSON for machines, readable text in a terminal, never a secret.

Our own lines and those of libraries (standard ``logging``) take the same way, so both
carry service and instance, and both pass the redactor last.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TextIO, cast

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict, Processor

from tapewire.runtime.redact import Redactor

_QUIET: Final = ("aiohttp.access", "aiormq", "aio_pika", "websockets", "asyncio")
"""Libraries of which only warnings are shown: we log what their events mean to us."""

_BEFORE: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def get_logger(name: str) -> BoundLogger:
    """A structured logger: ``log.warning("what happened", shard="trades.0", lost=3)``."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_BEFORE,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
    )
    return cast("BoundLogger", logger)


@dataclass(frozen=True)
class LogOptions:
    """How this process logs.

    ``level`` and ``form`` (auto, json, text) are the settings' values; ``bound`` is added
    to every line (service, instance, trace id); ``secrets`` are hidden wherever they occur.
    """

    level: str = "INFO"
    form: str = "auto"
    bound: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()


def configure_logging(options: LogOptions, stream: TextIO | None = None) -> None:
    """Send every log line of the process to ``stream`` (default stderr) in one form.

    Replaces what an earlier call set up. Nothing goes to stdout: that is for results.
    """
    stream = sys.stderr if stream is None else stream
    text = options.form == "text" or (options.form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=list(_BEFORE),
            processors=[
                ProcessorFormatter.remove_processors_meta,
                _adder(options.bound),
                _cleaner(options.secrets),
                _readable(stream) if text else structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(options.level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _adder(bound: Iterable[tuple[str, str]]) -> Processor:
    fields = dict(bound)

    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**fields, **event}

    return add


def _cleaner(secrets: Iterable[str]) -> Processor:
    redactor = Redactor(secrets)

    def clean(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {name: redactor.value(value, name) for name, value in event.items()}

    return clean


def _readable(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


@dataclass(slots=True)
class _Window:
    """One reason's current second."""

    began_s: float
    written: int = 0
    held_back: int = 0


class SampledLog:
    """Log the same kind of bad input at most N times a second; say how many were held back.

    Counting is the caller's business: this only keeps a flood out of the log. ``reason``
    comes from a table of ours; beyond ``max_reasons`` different ones share one budget, so
    that input cannot make this grow.
    """

    def __init__(
        self,
        log: BoundLogger,
        per_second: int = 5,
        *,
        max_reasons: int = 200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._per_second = per_second
        self._max_reasons = max_reasons
        self._clock = clock
        self._windows: MutableMapping[str, _Window] = {}

    def warning(self, event: str, *, reason: str, **fields: Any) -> bool:
        """Log it unless this reason used up its second; return whether it was logged.

        The first line of a later second carries ``held_back``: lines not written since.
        """
        window = self._window(reason)
        if window.written >= self._per_second:
            window.held_back += 1
            return False
        if window.held_back:
            fields["held_back"], window.held_back = window.held_back, 0
        window.written += 1
        self._log.warning(event, reason=reason, **fields)
        return True

    def _window(self, reason: str) -> _Window:
        now_s = self._clock()
        if reason not in self._windows and len(self._windows) >= self._max_reasons:
            reason = "other"
        window = self._windows.setdefault(reason, _Window(now_s))
        if now_s - window.began_s >= 1:
            window.began_s, window.written = now_s, 0
        return window
