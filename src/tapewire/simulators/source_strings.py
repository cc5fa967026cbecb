"""``SOURCE`` strings: ``lean:PATH``, ``flatfile:PATH``, ``capture:PATH``, ``generator[:...]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tapewire.simulators.lean import LeanSource
from tapewire.simulators.sources import Source, SourceError

_READERS: Final[Mapping[str, Callable[[Path], Source]]] = {
    "lean": LeanSource,
}


def parse_source(text: str) -> Source:
    """The source that a ``SOURCE`` string names.

    A bare path that exists is told by its layout: ``.csv`` and ``.csv.gz`` are flat files,
    ``.twcap`` a capture, anything else LEAN's. Raises SourceError that says what was expected.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in _READERS:
        return _READERS[kind](Path(rest))
    if Path(text).exists():
        return _READERS[_layout(Path(text))](Path(text))
    raise SourceError(
        f"source {text!r} is neither a path that exists nor one of generator[:name=value,...], "
        f"{', '.join(f'{kind}:PATH' for kind in _READERS)}"
    )


def _layout(path: Path) -> str:
    return "lean"
