"""The concepts page and the code name the same fields, boards, reasons and exit codes."""

import re
from inspect import getmembers

from tapewire.model.feeds import FEEDS, Kind
from tapewire.model.rows import CandleView, QuoteRecord
from tapewire.providers.massive.protocol import Skipped
from tapewire.runtime.service import DependencyMissing, RefusedByProvider, ServiceError, UsageError
from tests.docs.pages import PROJECT, table

CONCEPTS = (PROJECT / "docs" / "concepts.md").read_text("utf-8")
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text("utf-8")

FOLDS_SKIP = {
    "ahead_of_clock",
    *("duplicate", "too_late", "other_length", "bad_price", "bad_timestamp"),
    *("out_of_order", "unknown_indicator", "not_passed_on"),
    *("no_price", "empty_exchange", "empty_token", "day_before", "baseline", "missed"),
    *("behind", "lower_volume", "reset"),
}


def names(section: str, heading: str) -> list[str]:
    """What the first column of a section's table names in code font."""
    rows = table(CONCEPTS.split(f"\n## {section}\n")[1], heading)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_field_of_a_candle_is_described() -> None:
    assert sorted(names("The candle rule", "field")) == sorted(CandleView.__struct_fields__)


def test_every_field_of_a_quote_record_is_described_once() -> None:
    assert sorted(names("Quote records", "field")) == sorted(QuoteRecord.__struct_fields__)


def test_every_board_is_described() -> None:
    rows = table(CONCEPTS, "board")
    boards = {feed.pattern for feed in FEEDS if feed.kind is Kind.BOARD}
    assert {row[1].strip("`") for row in rows} == boards


def test_every_reason_for_skipping_is_described() -> None:
    reasons = {value for name, value in getmembers(Skipped) if name.isupper()}
    assert sorted(names("What is skipped", "reason")) == sorted(reasons | FOLDS_SKIP)


def test_exit_codes_are_those_of_the_program() -> None:
    codes = {int(row[0]) for row in table(OPERATIONS, "code")}
    errors = (ServiceError, UsageError, RefusedByProvider, DependencyMissing)
    assert codes == {0, 130} | {error.exit_code for error in errors}
