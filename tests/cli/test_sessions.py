"""``tapewire sessions``: objects for programs, local times for people, and what is refused."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tapewire.cli.app import execute
from tapewire.cli.sessions import span
from tapewire.market.sessions import SessionCalendar

NEW_YORK, KOLKATA = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")


def ms(local: str, zone: ZoneInfo = NEW_YORK) -> int:
    return round(datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() * 1000)


Output = pytest.CaptureFixture[str]


def test_the_thanksgiving_week_as_json(capsys: Output) -> None:
    assert execute(["sessions", "--from", "2026-11-25", "--to", "2026-11-29", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {
            "exchange": "XNYS",
            "date": "2026-11-25",
            "pre_ms": ms("2026-11-25 04:00"),
            "open_ms": ms("2026-11-25 09:30"),
            "close_ms": ms("2026-11-25 16:00"),
            "post_ms": ms("2026-11-25 20:00"),
            "early_close": False,
        },
        {
            "exchange": "XNYS",
            "date": "2026-11-27",
            "pre_ms": ms("2026-11-27 04:00"),
            "open_ms": ms("2026-11-27 09:30"),
            "close_ms": ms("2026-11-27 13:00"),
            "post_ms": ms("2026-11-27 17:00"),
            "early_close": True,
        },
    ]


@pytest.mark.parametrize(
    ("name", "mic"), [("us", "XNYS"), ("NYSE", "XNYS"), ("nse", "XNSE"), ("BSE", "XBOM")]
)
def test_an_exchange_may_be_named_as_people_do(name: str, mic: str, capsys: Output) -> None:
    dates = ["--from", "2026-11-20", "--to", "2026-11-20"]
    assert execute(["sessions", "--exchange", name, *dates, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exchange"] == mic


def test_lines_in_a_pipe_carry_the_exchanges_own_time(capsys: Output) -> None:
    arguments = "sessions --exchange XNSE --from 2026-01-05 --to 2026-01-05"
    assert execute(arguments.split()) == 0
    heads, line = capsys.readouterr().out.splitlines()
    assert heads.split("\t")[-1] == "early_close"
    assert line.split("\t") == [
        *("XNSE", "2026-01-05", "Mon", "09:00", "09:15", "15:30", "15:30"),
        "false",
    ]


def test_a_span_without_sessions_is_empty(capsys: Output) -> None:
    assert execute(["sessions", "--from", "2026-11-21", "--to", "2026-11-22", "--json"]) == 0
    assert capsys.readouterr() == ("", "")


def test_dates_that_are_only_expected_are_said_to_be(capsys: Output) -> None:
    assert (
        execute(["sessions", "--exchange", "NSE", "--from", "2027-01-26", "--to", "2027-01-27"])
        == 0
    )
    output = capsys.readouterr()
    assert "announced its holidays up to 2026-12-31" in output.err
    assert [line.split("\t")[1] for line in output.out.splitlines()[1:]] == ["2027-01-27"]


def test_by_default_it_is_the_coming_month() -> None:
    calendar = SessionCalendar.load("XNYS")
    now_ms = ms("2026-11-21 03:00")  # before the turn: still Friday
    assert span(calendar, None, None, now_ms) == ("2026-11-20", "2026-12-20")
    assert span(calendar, "2027-12-20", None, now_ms) == ("2027-12-20", "2027-12-31")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--exchange XLON", ("'XLON'", "XBOM, XNSE, XNYS", "NYSE")),
        ("--from yesterday", ("'yesterday'", "YYYY-MM-DD")),
        ("--from 2026-02-30", ("2026-02-30", "YYYY-MM-DD")),
        ("--from 1999-12-31", ("1999-12-31", "2000-01-01 to 2027-12-31")),
        ("--from 2026-01-01 --to 2028-01-01", ("2028-01-01", "2027-12-31")),
        ("--from 2026-01-02 --to 2026-01-01", ("2026-01-01", "before --from 2026-01-02")),
    ],
)
def test_what_cannot_be_answered_is_a_usage_error(
    arguments: str, words: tuple[str, ...], capsys: Output
) -> None:
    assert execute(["sessions", *arguments.split()]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert all(word in output.err for word in words)
