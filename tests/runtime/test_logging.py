"""Log lines: their form, what is bound to them, and what never shows."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.stdlib import BoundLogger
from structlog.testing import CapturingLogger

from tapewire.runtime.key_file import TokenFile
from tapewire.runtime.logging import LogOptions, SampledLog, configure_logging, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_what_is_bound() -> None:
    stream = io.StringIO()
    bound = (("service", "listener"), ("instance", "0"))
    configure_logging(LogOptions(bound=bound), stream)
    get_logger("tapewire.test").warning("gap", shard="trades.0", lost=3)
    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "event": "gap",
        "level": "warning",
        "logger": "tapewire.test",
        "service": "listener",
        "instance": "0",
        "shard": "trades.0",
        "lost": 3,
    }


def test_a_terminal_gets_readable_text() -> None:
    stream = Terminal()
    configure_logging(LogOptions(), stream)
    get_logger("tapewire.test").warning("gap", shard="trades.0")
    assert "gap" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_lines_of_libraries_take_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging(LogOptions(bound=(("service", "listener"),)), stream)
    logging.getLogger("somebody").error("lost %s", "amqp://user:open-sesame@host")
    (line,) = lines(stream)
    assert (line["event"], line["service"]) == ("lost amqp://user:***@host", "listener")


def test_no_secret_reaches_a_line_by_any_way() -> None:
    stream = io.StringIO()
    configure_logging(LogOptions(secrets=("key-1234",)), stream)
    log = get_logger("tapewire.test")
    try:
        raise ConnectionError("redis://:open-sesame@host refused key-1234")
    except ConnectionError as error:
        log.exception(
            "failed with key-1234", error=error, api_key="abc", url="amqp://u:open-sesame@h"
        )
    text = stream.getvalue()
    assert "ConnectionError" in text
    for secret in ("key-1234", "open-sesame", "abc"):
        assert secret not in text


def test_a_secret_in_a_traceback_is_hidden_in_a_terminal_too() -> None:
    stream = Terminal()
    configure_logging(LogOptions(secrets=("key-1234",)), stream)
    try:
        raise ConnectionError("refused key-1234")
    except ConnectionError:
        get_logger("tapewire.test").exception("failed")
    assert "key-1234" not in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logging(LogOptions(level="WARNING"), stream)
    get_logger("tapewire.test").info("detail")
    assert stream.getvalue() == ""


def sampled(clock: list[float], **options: int) -> tuple[SampledLog, CapturingLogger]:
    caught = CapturingLogger()
    log = SampledLog(BoundLogger(caught, [], {}), clock=lambda: clock[0], **options)
    return log, caught


def test_a_flood_of_one_reason_is_held_back_and_counted() -> None:
    clock = [0.0]
    log, caught = sampled(clock, per_second=2)
    written = [log.warning("dropped", reason="bad_price") for _ in range(10)]
    assert written == [True, True] + [False] * 8
    assert log.warning("dropped", reason="bad_time")
    clock[0] = 1.0
    log.warning("dropped", reason="bad_price")
    assert [call.kwargs.get("held_back") for call in caught.calls] == [None, None, None, 8]


def test_reasons_beyond_the_bound_share_one_budget() -> None:
    log, caught = sampled([0.0], per_second=1, max_reasons=2)
    for number in range(100):
        log.warning("dropped", reason=f"reason {number}")
    assert len(caught.calls) == 3


def test_a_token_that_was_read_from_a_file_while_running_does_not_show(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure_logging(LogOptions(), stream)
    path = tmp_path / "token"
    path.write_text("APP-100:first-of-all\n")
    path.chmod(0o600)
    token = TokenFile(path, "FYERS_ACCESS_TOKEN_FILE").read()
    logging.getLogger("some.library").warning("GET /data?x=%s failed", token)
    (line,) = lines(stream)
    assert line["event"] == "GET /data?x=*** failed"
