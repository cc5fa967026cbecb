"""SOURCE strings."""

import zipfile
from pathlib import Path

import pytest

from tapewire.simulators.source_strings import parse_source
from tapewire.simulators.sources import SourceError


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "aig" / "20131007_trade.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ticks.csv", "34200000,490000,100,N,1,0\n")
    return path


def test_a_source_is_named_with_its_kind_or_told_from_its_layout(recorded: Path) -> None:
    for text in (f"lean:{recorded}", str(recorded), str(recorded.parent)):
        assert parse_source(text).symbols == {"AIG"}


def test_an_unknown_source_says_what_was_expected() -> None:
    with pytest.raises(SourceError, match="'tape:x' is neither a path that exists nor one of gen"):
        parse_source("tape:x")
