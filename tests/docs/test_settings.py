"""Settings that the pages name exist, and have the defaults that the pages give."""

import re

import pytest

from tapewire.runtime.environment import GONE, INTERNAL, OLD_NAMES
from tapewire.runtime.settings import Settings
from tests.docs.pages import GUIDES, PROJECT, Row, shell_lines, spans, table

FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
KNOWN = {*FIELDS, *OLD_NAMES, *GONE, *INTERNAL}
NAME = re.compile(r"(?:export )?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?")


def named() -> list[tuple[str, str]]:
    """Page and name of everything that looks like a setting in code font or in a shell line."""
    return [
        (page.name, match[1])
        for page in GUIDES
        for text in [page.read_text("utf-8")]
        for code in [*spans(text), *shell_lines(text)]
        if (match := NAME.fullmatch(code.split(" #")[0].strip()))
    ]


def test_every_setting_that_a_page_names_exists() -> None:
    found = named()
    assert len(found) > 60
    assert [(page, name) for page, name in found if name not in KNOWN] == []


def settings_table() -> list[Row]:
    return table((PROJECT / "docs" / "operations.md").read_text("utf-8"), "setting")


def written_defaults() -> list[tuple[str, str]]:
    """Name and default of each setting in the table, where the default is given as a value."""
    pairs: list[tuple[str, str]] = []
    for names, defaults, _ in settings_table():
        listed = names.replace("`", "").split(", ")
        values = defaults.split(", ") if len(listed) > 1 else [defaults]
        pairs += zip(listed, values * (len(listed) // len(values)), strict=True)
    return [(name, value) for name, value in pairs if not value.startswith("the ")]


@pytest.mark.parametrize(("name", "written"), written_defaults())
def test_a_setting_has_the_default_that_the_table_gives(name: str, written: str) -> None:
    default = FIELDS[name].default
    shown = ",".join(default) if isinstance(default, tuple) else default
    shown = {True: "on", False: "off"}[shown] if isinstance(shown, bool) else shown
    expected = "–" if shown in (None, "") else f"{shown:g}" if isinstance(shown, float) else shown
    assert written.strip("`") == str(expected)
