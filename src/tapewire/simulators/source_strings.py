"""``SOURCE`` strings: ``generator[:...]``, ``lean:PATH``, ``flatfile:PATH``, ``capture:PATH``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tapewire.providers import capture
from tapewire.simulators.capture import CaptureSource
from tapewire.simulators.flatfile import FlatFileSource
from tapewire.simulators.generator import parse_generator
from tapewire.simulators.lean import LeanSource
from tapewire.simulators.sources import Source, SourceError

_READERS: Final[Mapping[str, Callable[[Path], Source]]] = {
    "lean": LeanSource,
    "flatfile": FlatFileSource,
    "capture": CaptureSource,
}
_KIND_BY_SUFFIX: Final = {
    ".zip": "lean",
    ".csv": "flatfile",
    ".gz": "flatfile",
    capture.SUFFIX: "capture",
}


def parse_source(text: str, *, seed: int | None = None) -> Source:
    """The source that a ``SOURCE`` string names; ``seed`` is a generator's unless it has its own.

    A bare path that exists is told by its suffix, a folder by the first file in it that has one
    of ``.zip`` (recorded ticks), ``.csv`` or ``.csv.gz`` (flat files), ``.twcap`` (a capture).
    Raises SourceError that says what was expected.
    """
    kind, colon, rest = text.partition(":")
    if kind == "generator":
        return parse_generator(rest, seed=seed)
    if colon and kind in _READERS:
        return _READERS[kind](Path(rest))
    layout = _layout(Path(text))
    if layout:
        return _READERS[layout](Path(text))
    raise SourceError(
        f"source {text!r} is neither a path that exists nor one of generator[:name=value,...], "
        f"{', '.join(f'{kind}:PATH' for kind in _READERS)}"
    )


def completed(text: str, defaults: Mapping[str, object]) -> str:
    """A ``SOURCE`` string whose generator has these options, unless it says otherwise."""
    kind, _, given = text.partition(":")
    if kind != "generator":
        return text
    options = [option for option in given.split(",") if option]
    names = {option.partition("=")[0] for option in options}
    missing = [f"{name}={value}" for name, value in defaults.items() if name not in names]
    return f"generator:{','.join([*options, *missing])}"


def _layout(path: Path) -> str | None:
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    kinds = (_KIND_BY_SUFFIX.get(file.suffix) for file in files)
    return next((kind for kind in kinds if kind), None)
