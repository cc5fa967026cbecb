"""The pages of the documentation, read as what they are made of: code, tables, headings, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from tapewire.cli.app import app

PROJECT: Final = Path(__file__).resolve().parents[2]
GUIDES: Final = tuple(
    PROJECT / name
    for name in (
        *("README.md", "CHANGELOG.md", "docs/README.md", "docs/quick-start.md"),
        *("docs/concepts.md", "docs/operations.md", "docs/coming-from.md", "docs/redis.md"),
        "docs/plugins.md",
    )
)

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+)`")

Row = tuple[str, ...]


def shell_lines(text: str) -> list[str]:
    """The lines of a page's ``sh`` blocks that are not empty."""
    blocks = (match[2] for match in _FENCE.finditer(text) if match[1] == "sh")
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def spans(text: str) -> list[str]:
    """What a page says in code font outside blocks."""
    return _SPAN.findall(_FENCE.sub("", text))


def table(text: str, first_heading: str) -> list[Row]:
    """The rows of the first table whose heading begins with this cell; KeyError without one."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if line.startswith(f"| {first_heading} |"):
            return list(_rows(lines[at + 2 :]))
    raise KeyError(f"no table whose first heading is {first_heading!r}")


def _rows(lines: list[str]) -> Iterator[Row]:
    for line in lines:
        if not line.startswith("|"):
            return
        cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
        yield tuple(cell.strip() for cell in cells)


def anchors(text: str) -> set[str]:
    """The names under which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {_slug(heading) for heading in headings}


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")


def links(text: str) -> list[tuple[str, str]]:
    """Path and anchor of a page's links within the project; either may be empty."""
    found = re.findall(r"\]\(([^)#:\s]*)(?:#([\w-]+))?\)", _FENCE.sub("", text))
    return [(path, anchor) for path, anchor in found if path or anchor]


def commands() -> Any:
    """The command line's group of commands."""
    return get_command(app)


def parse(words: list[str]) -> None:
    """Read a command line as the program would, without running it; raises what is wrong."""
    name, *arguments = words
    command = commands().commands[name]
    command.make_context(name, arguments)
