"""Secrets in files: one word, read again when it is needed, and never shown."""

import logging
from pathlib import Path

import pytest

from tapewire.runtime.key_file import MAX_BYTES, KeyFileError, TokenFile, read_key
from tapewire.runtime.service import UsageError

SETTING = "FYERS_ACCESS_TOKEN_FILE"


def written(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_a_file_holds_one_word_whatever_blanks_are_around_it(tmp_path: Path) -> None:
    assert read_key(written(tmp_path / "key", " APP-100:hush\n\n"), SETTING) == "APP-100:hush"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("", "holds 0 words"),
        (" \n", "holds 0 words"),
        ("hush hush", "holds 2 words"),
        ("hush\nhush\n", "holds 2 words"),
        (b"hush\xff", "no text"),
        ("hush" + " " * MAX_BYTES, "holds 1 words"),
    ],
)
def test_what_is_no_token_is_said_with_the_file_and_never_with_what_it_holds(
    tmp_path: Path, content: str | bytes, seen: str
) -> None:
    path = written(tmp_path / "key", content)
    with pytest.raises(KeyFileError) as raised:
        read_key(path, SETTING)
    said = str(raised.value)
    assert seen in said
    assert said.startswith(SETTING)
    assert str(path) in said
    assert "hush" not in said
    assert isinstance(raised.value, UsageError)


def test_a_file_that_is_missing_or_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read .*missing \(No such file"):
        read_key(tmp_path / "missing", SETTING)
    with pytest.raises(KeyFileError, match="Is a directory"):
        read_key(tmp_path, SETTING)


def test_a_token_is_read_anew_each_time(tmp_path: Path) -> None:
    file = TokenFile(written(tmp_path / "token", "hush-1"), SETTING)
    assert file.read() == "hush-1"
    written(file.path, "hush-2")
    assert file.read() == "hush-2"
    assert "hush" not in repr(file)


def test_a_change_is_another_token_than_the_one_that_was_read(tmp_path: Path) -> None:
    file = TokenFile(written(tmp_path / "token", "old"), SETTING)
    assert not file.has_changed()  # nobody has read it yet
    file.read()
    written(file.path, "old\n")
    assert not file.has_changed()
    written(file.path, "new")
    assert file.has_changed()
    file.read()
    assert not file.has_changed()


def test_half_a_file_is_no_change_and_the_same_token_after_it_is_one(tmp_path: Path) -> None:
    file = TokenFile(written(tmp_path / "token", "same"), SETTING)
    file.read()
    written(file.path, "")
    assert not file.has_changed()
    with pytest.raises(KeyFileError):
        file.read()
    assert not file.has_changed()
    written(file.path, "same")
    assert file.has_changed()


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_what_others_can_read_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warnings: int
) -> None:
    caplog.set_level(logging.WARNING)
    file = TokenFile(written(tmp_path / "token", "hush", mode), SETTING)
    file.read()
    file.read()
    assert len(caplog.messages) == warnings
    assert all(f"mode {mode:o}" in said and str(file.path) in said for said in caplog.messages)
    assert "hush" not in caplog.text
