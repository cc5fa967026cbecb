"""Which error ends a command how."""

import errno

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.caches.decoding import UndecodableRowError
from tapewire.cli.errors import explain, report
from tapewire.providers.capture import NotACaptureError
from tapewire.queues.queue import QueueError
from tapewire.runtime.service import DependencyMissing, RefusedByProvider, ServiceError, UsageError
from tapewire.simulators.faults import FaultError
from tapewire.simulators.sources import SourceError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceError("no"), 1),
        (UsageError("no"), 2),
        (SourceError("no"), 2),
        (FaultError("no"), 2),
        (NotACaptureError("no"), 2),
        (RefusedByProvider("no"), 3),
        (DependencyMissing("no"), 4),
        (CacheUnavailable("no"), 4),
        (QueueError("no"), 4),
    ],
)
def test_errors_of_the_parts_have_exit_codes_and_keep_their_words(
    error: Exception, code: int
) -> None:
    assert explain(error) == (code, "no")


def test_a_row_of_another_version_is_a_source_that_cannot_be_read() -> None:
    code, message = explain(UndecodableRowError("feed quote, key quote:2026-11-20", "0 bytes"))
    assert code == 2
    assert "feed quote, key quote:2026-11-20: 0 bytes; expected what version" in message
    assert "start with an empty store" in message


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert explain(PermissionError(errno.EACCES, "Permission denied", "ticks.csv")) == (
        4, "ticks.csv: Permission denied",
    )  # fmt: skip


def test_a_reader_that_went_away_is_not_talked_about() -> None:
    assert explain(BrokenPipeError(errno.EPIPE, "Broken pipe")) == (1, "")


def test_a_defect_says_how_to_see_more() -> None:
    code, message = explain(KeyError("x"))
    assert code == 1
    assert "KeyError" in message
    assert "LOG_LEVEL=DEBUG" in message


def test_each_line_is_marked_and_passwords_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(UsageError("amqp://me:secret@host is wrong\nand so is this")) == 2
    assert capsys.readouterr().err == (
        "tapewire: amqp://me:***@host is wrong\ntapewire: and so is this\n"
    )
