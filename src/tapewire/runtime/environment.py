"""Reading the settings once, at the edge: options, environment, files, defaults.

The environment is passed in. A wrong value and a mistyped name of ours end the command
with a message that says what was seen, what was expected and what to do; an old name
still works and says which one to use now.
"""

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from tapewire.runtime.key_file import read_key
from tapewire.runtime.redact import HIDDEN, Redactor
from tapewire.runtime.service import UsageError
from tapewire.runtime.setting import expected
from tapewire.runtime.settings import Settings

OLD_NAMES: Final = {"POLYGON_API_KEY": "massive_api_key"}
"""Names of earlier systems that still work, with a warning."""

GONE: Final = {
    "MAX_CONCURRENCY": "a shard is folded by one owner in order; use PARALLELISM for more"
    " processes and PREFETCH_COUNT for batches in flight"
}
"""Names of earlier systems without a counterpart -> why, and what to use."""

INTERNAL: Final = frozenset(
    {
        "TAPEWIRE_PARENT_FD",
        "TAPEWIRE_HEARTBEAT_FD",
        "TAPEWIRE_SHARED",
        "TAPEWIRE_REQUIRE_SHARED",
    }
)
"""Set by the process manager for its workers, or by the tests; not settings."""

_OURS: Final = (
    "TAPEWIRE_",
    "MASSIVE_",
    "UPSTOX_",
    "FYERS_",
    "DHAN_",
    "BROKERS",
    "BROKER_INST",
    "BROKER_SILENCE",
    "BROKER_FAILBACK",
    "TICK_FILTER_",
    "TICK_QUEUE_",
    "TICK_FLUSH",
)
_KUBERNETES: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP)(_.+)?)?)")
"""Kubernetes puts such names into every pod for a service that is called ``tapewire-...``."""


class Source(StrEnum):
    """Where a setting's value came from; an option beats the environment, and so on."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Effective:
    """One line of ``tapewire config``; secrets hidden."""

    name: str
    value: Any
    source: Source
    help: str


@dataclass(frozen=True)
class Loaded:
    """The settings, where each came from, and what the user should be told (log it once)."""

    settings: Settings
    sources: Mapping[str, Source]
    warnings: tuple[str, ...]

    def effective(self) -> list[Effective]:
        """Every setting with its value and source, in the order of ``Settings``."""
        return [
            Effective(
                name=name.upper(),
                value=_shown(getattr(self.settings, name)),
                source=self.sources.get(name, Source.DEFAULT),
                help=field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ]


def load_settings(
    environ: Mapping[str, str], options: Mapping[str, Any] | None = None, *, platform: str = ""
) -> Loaded:
    """Resolve every setting: option, then environment, then file, then default.

    ``options`` are keyed by field name (``tapewire_http_host``); None means not given.
    Raises UsageError (exit code 2) that lists every wrong value and mistyped name.
    """
    warnings: list[str] = []
    problems = _unknown_names(environ, warnings)
    values, sources = _given(environ, options or {}, warnings)
    if "tapewire_data_dir" not in values:
        values["tapewire_data_dir"] = default_data_dir(environ, platform or sys.platform)
    if "massive_api_key" not in values and (key := _key_file(values)):
        values["massive_api_key"], sources["massive_api_key"] = key, Source.FILE
    settings = _validated(values, sources, problems)
    return Loaded(settings, sources, tuple(warnings))


def _validated(
    values: Mapping[str, Any], sources: Mapping[str, Source], problems: list[str]
) -> Settings:
    """The settings, or one UsageError with every problem: the names' and the values'."""
    try:
        settings = Settings(**values)
    except ValidationError as error:
        wrong = [_problem(detail, sources) for detail in error.errors(include_url=False)]
        raise UsageError("\n".join(problems + wrong)) from None
    if problems:
        raise UsageError("\n".join(problems))
    return settings


def default_data_dir(environ: Mapping[str, str], platform: str) -> Path:
    """The user's data folder by the platform's custom, and ``tapewire`` in it."""
    home = Path(environ.get("HOME") or "~").expanduser()
    if platform == "darwin":
        return home / "Library" / "Application Support" / "tapewire"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "tapewire"


def _given(
    environ: Mapping[str, str], options: Mapping[str, Any], warnings: list[str]
) -> tuple[dict[str, Any], dict[str, Source]]:
    """Collect what options and environment say; an empty environment value is no value."""
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    if strange := sorted(set(options) - set(Settings.model_fields)):
        raise UsageError(f"no such setting: {', '.join(strange)}; tapewire config lists them")
    for old, name in OLD_NAMES.items():
        if environ.get(old) and not environ.get(name.upper()):
            values[name], sources[name] = environ[old], Source.ENVIRONMENT
            warnings.append(f"{old} is the old name of {name.upper()}: rename it")
    for name in Settings.model_fields:
        if options.get(name) is not None:
            values[name], sources[name] = options[name], Source.OPTION
        elif environ.get(name.upper()):
            values[name], sources[name] = environ[name.upper()].strip(), Source.ENVIRONMENT
    warnings += [f"{old} has no effect: {why}" for old, why in GONE.items() if environ.get(old)]
    warnings += [
        f"{name.upper()}_FILE has no effect: {name.upper()} is set; remove one of them"
        for name in values
        if f"{name}_file" in values
    ]
    return values, sources


def _key_file(values: Mapping[str, Any]) -> str | None:
    """The key from MASSIVE_API_KEY_FILE, or from the data folder when there is one."""
    named = values.get("massive_api_key_file")
    path = Path(named or Path(values["tapewire_data_dir"]) / "massive_api_key").expanduser()
    if not named and not path.is_file():
        return None
    return read_key(path, "MASSIVE_API_KEY_FILE")


def _unknown_names(environ: Mapping[str, str], warnings: list[str]) -> list[str]:
    """Names that look like ours: a near miss is a problem, a stranger a warning."""
    known = {name.upper() for name in Settings.model_fields}
    ours = [name for name in environ if name.startswith(_OURS)]
    problems = []
    for name in sorted(set(ours) - known - INTERNAL):
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if nearest and not _KUBERNETES.fullmatch(name):
            problems.append(
                f"{name}: there is no such setting; did you mean {nearest[0]}?"
                " Rename it or remove it from the environment."
            )
        elif not _KUBERNETES.fullmatch(name):
            warnings.append(f"{name} is not a setting and has no effect; see tapewire config")
    return problems


def _problem(detail: ErrorDetails, sources: Mapping[str, Source]) -> str:
    """One wrong value: what was seen (never a secret), what was expected, what it is for."""
    name = str(detail["loc"][0])
    field = Settings.model_fields[name]
    hidden = "SecretStr" in str(field.annotation) or isinstance(detail["input"], SecretStr)
    seen = HIDDEN if hidden else repr(detail["input"])
    source = sources.get(name, Source.DEFAULT)
    return (
        f"{name.upper()} ({source}): {seen} is not valid; expected {expected(field)}."
        f" {field.description}"
    )


def _shown(value: Any) -> Any:
    """A value as ``tapewire config`` may print it."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return Redactor().text(secret) if "://" in secret else HIDDEN
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, Path | StrEnum) else value
