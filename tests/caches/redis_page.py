"""``docs/redis.md``, read as the tables that it is made of."""

import re
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[2] / "docs" / "redis.md"

_UNITS: Final = {"s": 1, "hours": 3_600, "days": 86_400}


class KeyRow(NamedTuple):
    """One line of a key table. ``ttl_s`` is None where the page gives no number."""

    pattern: str
    kind: str
    ttl_s: int | None
    forever: bool

    def matches(self, key: str) -> bool:
        parts = re.split(r"<[^>]+>", self.pattern)
        return re.fullmatch(".+".join(map(re.escape, parts)), key) is not None


def table(heading: str) -> list[tuple[str, ...]]:
    """The lines of the table under a heading, without its own heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def key_rows(heading: str) -> list[KeyRow]:
    """The key table under a heading, in order: a key belongs to the first line that fits."""
    return [
        KeyRow(key.strip("`"), kind, _seconds(lives), lives == "for ever")
        for key, kind, lives, _ in table(heading)
    ]


def _seconds(lives: str) -> int | None:
    match = re.fullmatch(r"(\d+) (s|hours|days)", lives)
    return int(match[1]) * _UNITS[match[2]] if match else None


def scripts() -> list[str]:
    """Names of the scripts that the page describes."""
    return [name.strip("`") for name, _ in table("Scripts")]
