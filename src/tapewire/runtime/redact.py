"""Taking secrets out of what people read: log lines, ``tapewire config``, last words.

Three nets, because each one has holes: values under a secret-sounding name, passwords and
keys inside URLs, and the exact secrets that this process was given or learned while it ran.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

HIDDEN: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"(api_?key|password|passwd|secret|token|authorization|credential|cookie)", re.IGNORECASE
)
_URL_PASSWORD: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)
_NAMED_VALUE: Final = re.compile(
    r"((?:api_?key|password|passwd|secret|token)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}\]]+",
    re.IGNORECASE,
)
_AUTH_FRAME: Final = re.compile(r"(\"action\"\s*:\s*\"auth\".*?\"params\"\s*:\s*\")[^\"]+")
_BEARER: Final = re.compile(r"(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_PATTERNS: Final = (_URL_PASSWORD, _AUTH_FRAME, _BEARER, _NAMED_VALUE)

_MIN_SECRET_CHARS: Final = 4
"""A shorter "secret" would blot out ordinary words."""


_learned: Final[deque[str]] = deque(maxlen=256)
"""What ``hide`` was told; of so many tokens the oldest have long ended."""


def hide(*secrets: str) -> None:
    """Hide these from now on in all that this process writes: a token that was just read."""
    _learned.extend(secret for secret in secrets if secret not in _learned)


def _any_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    known = sorted({s for s in secrets if len(s) >= _MIN_SECRET_CHARS}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else None


class Redactor:
    """Replace secrets in text and in nested log fields by ``***``.

    ``secrets``: exact values to hide wherever they turn up, whatever their name; those that
    ``hide`` was told of are hidden with them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given = tuple(secrets)
        self._seen: list[str] | None = None
        self._known: re.Pattern[str] | None = None

    def text(self, text: str) -> str:
        """Return ``text`` without passwords in URLs, named keys and known secrets."""
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
        learned = list(_learned)
        if learned != self._seen:
            self._seen, self._known = learned, _any_of((*self._given, *learned))
        return self._known.sub(HIDDEN, text) if self._known else text

    def value(self, value: Any, name: str = "") -> Any:
        """Return ``value`` cleaned, whatever its nesting; objects become their text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(key): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(value if isinstance(value, str) else str(value))


def redact(text: str) -> str:
    """Hide passwords in URLs and named keys, for a process that knows no secrets."""
    return Redactor().text(text)
