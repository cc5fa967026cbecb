"""Tables, plain lines and JSON lines of the same rows."""

import io
import json

import pytest

from tapewire.cli.output import Column, Form, Printer, Style, count, duration, percent, price

COLUMNS = (
    Column("symbol", "symbol"),
    Column("last", "last", Style.PRICE),
    Column("change", "from open", Style.PERCENT),
    Column("volume", "volume", Style.COUNT),
    Column("at_ms", "at", Style.CLOCK),
    Column("gap", "gap", Style.FLAG),
)
ROWS = [
    {"symbol": "AIG", "last": 49.18, "change": 1.25, "volume": 1_234_567,
     "at_ms": 1_381_152_600_000, "gap": False, "score": 7},
    {"symbol": "BAC", "last": None, "change": None, "volume": 0, "at_ms": None, "gap": True},
]  # fmt: skip


def printed(form: Form) -> list[str]:
    stream = io.StringIO()
    Printer(form, stream).rows(ROWS, COLUMNS, "Top")
    return stream.getvalue().splitlines()


def test_json_lines_hold_every_field_raw() -> None:
    assert [json.loads(line) for line in printed(Form.JSON)] == ROWS


def test_plain_lines_are_separated_by_tabs_and_can_be_calculated_with() -> None:
    assert [line.split("\t") for line in printed(Form.PLAIN)] == [
        ["symbol", "last", "from_open", "volume", "at", "gap"],
        ["AIG", "49.18", "1.25", "1234567", "2013-10-07 09:30:00", "false"],
        ["BAC", "", "", "0", "", "true"],
    ]


def test_a_table_shows_what_people_read() -> None:
    lines = printed(Form.TABLE)
    assert lines[0].strip() == "Top"
    assert lines[2].split() == ["symbol", "last", "from", "open", "volume", "at", "gap"]
    assert lines[4].split() == ["AIG", "49.18", "+1.25", "%", "1,234,567", "09:30:00", "no"]
    assert lines[5].split() == ["BAC", "–", "–", "0", "–", "yes"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(49.18, "49.18"), (49.1, "49.10"), (0.12345, "0.1235"), (1234.5, "1,234.50"), (3, "3.00")],
)
def test_prices_have_cents_and_at_most_four_places(value: float, shown: str) -> None:
    assert price(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(7, "7"), (0.054, "0.05"), (1_234_567.8, "1,234,568"), (100.0, "100")]
)
def test_counts_are_grouped(value: float, shown: str) -> None:
    assert count(value) == shown


def test_percents_carry_their_sign() -> None:
    assert (percent(5.0), percent(-0.124)) == ("+5.00 %", "-0.12 %")


@pytest.mark.parametrize(
    ("value_ms", "shown"),
    [(12, "12 ms"), (3_400, "3.4 s"), (125_000, "2 min 05 s"), (188_880_000, "52 h 28 min"),
     (-2_500, "-2.5 s")],
)  # fmt: skip
def test_durations_use_the_unit_that_fits(value_ms: float, shown: str) -> None:
    assert duration(value_ms) == shown


def test_in_a_pipe_a_duration_is_in_whole_milliseconds() -> None:
    stream = io.StringIO()
    rows = [{"lag_ms": 12.499999}, {"lag_ms": 3_400}, {"lag_ms": None}]
    Printer(Form.PLAIN, stream).rows(rows, [Column("lag_ms", "lag", Style.DURATION)])
    assert stream.getvalue().splitlines() == ["lag", "12", "3400", ""]
