"""Every command that the pages show is one that the program takes."""

import re
import shlex

import pytest

from tapewire.simulators.source_strings import parse_source
from tests.docs.pages import GUIDES, PROJECT, commands, parse, shell_lines, spans

READ_BY_SHELL = {">", "|", "&&", ";", "&"}


def words_of(line: str) -> list[str]:
    """The words of a command line up to what only the shell reads."""
    words = shlex.split(line, comments=True)
    ends = [at for at, word in enumerate(words) if word in READ_BY_SHELL]
    return words[: ends[0]] if ends else words


def typed() -> list[tuple[str, str]]:
    """Page and line of everything that a reader is told to type, mentions included."""
    pages = [(page, page.read_text("utf-8")) for page in GUIDES]
    lines = [(page, line) for page, text in pages for line in shell_lines(text)]
    mentions = [(page, span) for page, text in pages for span in spans(text)]
    return [(page.name, line) for page, line in [*lines, *mentions]]


def ours(program: str) -> list[list[str]]:
    found = (words_of(line) for _, line in typed() if line.startswith(f"{program} "))
    return [words[1:] for words in found]


@pytest.mark.parametrize("words", ours("tapewire"), ids=" ".join)
def test_the_program_takes_the_command_line(words: list[str]) -> None:
    if len(words) == 1 and not words[0].startswith("-"):
        assert words[0] in commands().commands
    elif words != ["--help"]:
        parse(words)


@pytest.mark.parametrize("words", ours("make"), ids=" ".join)
def test_make_has_the_target(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text("utf-8"), re.M)
    assert words[0] in targets


def generators() -> list[str]:
    words = (word for line in ours("tapewire") for word in line)
    return sorted({word for word in words if re.fullmatch(r"generator(:\S+)?", word)})


@pytest.mark.parametrize("source", generators())
def test_a_generator_takes_the_options_shown(source: str) -> None:
    assert parse_source(source).symbols


def test_every_command_is_shown_somewhere() -> None:
    shown = {words[0] for words in ours("tapewire")}
    first = {"run", "simulate", "replay", "candles", "top", "quote", "reference", "dump", "status"}
    assert first | {"capture", "flatfile", "config"} <= shown


def test_a_mistyped_option_is_found() -> None:
    with pytest.raises(Exception, match="--shard"):
        parse(["replay", "generator", "--shardz", "2"])


def test_the_readme_takes_three_minutes() -> None:
    prose = re.sub(r"```.*?```", "", (PROJECT / "README.md").read_text("utf-8"), flags=re.S)
    assert len(prose.split()) < 800, "250 words a minute"
