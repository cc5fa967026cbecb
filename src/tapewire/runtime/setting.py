"""What every setting is made of: a default, a sentence of help, and what a right value is."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.fields import FieldInfo


def setting(default: Any, help_: str, expected: str, **bounds: Any) -> Any:
    """One setting: its default, a sentence of help, and what a right value looks like."""
    return Field(
        default=default, description=help_, json_schema_extra={"expected": expected}, **bounds
    )


def expected(field: FieldInfo) -> str:
    """What a right value of this setting looks like, for messages and ``--help``."""
    extra = field.json_schema_extra
    return str(extra["expected"]) if isinstance(extra, dict) else ""


def url(text: str, *schemes: str) -> str:
    """Return ``text`` when it is a URL with one of the schemes and a place; ValueError else."""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not (parts.hostname or parts.path.strip("/")):
        raise ValueError(f"not a URL with scheme {' or '.join(schemes)}")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("the URL names no host")
    parts.port  # noqa: B018 - raises ValueError when the port is not a number
    return text


def listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """The parts of a comma list, without blanks and empty ones, each once."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
