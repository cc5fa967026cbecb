"""What a terminal shows of a value."""

import json
from typing import Any

import pytest

from tapewire.caches.known import Known
from tapewire.cli.reference import summary


def known(body: bytes | None, content_type: str = "application/json", reason: str = "") -> Known:
    return Known(
        kind="splits",
        argument="AIG",
        body=body,
        content_type=content_type,
        fetched_ms=0,
        age_ms=0,
        stale=False,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"symbol": "AIG", "free_float": 7}, "free_float 7"),
        ([{"symbol": "AIG", "split_to": 2}, {}], "2; split_to 2"),
        ({"name": "A", "address": {"city": "x"}}, "name A"),
        ({"a": "x" * 100, "b": "y" * 100}, f"a {'x' * 100}, …"),
    ],
)
def test_a_value_is_shown_by_its_whole_fields(value: Any, shown: str) -> None:
    assert summary(known(json.dumps(value).encode())) == shown


def test_nothing_and_pictures_are_said_in_words() -> None:
    assert summary(known(None, reason="Ticker not found.")) == "nothing: Ticker not found."
    assert summary(known(b"<svg/>", "image/svg+xml")) == "image/svg+xml, 6 bytes"
