"""The W3C trace context."""

import pytest

from tapewire.runtime.trace import TraceContext

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_header_is_read_and_written_alike() -> None:
    context = TraceContext.parse(HEADER)
    assert context is not None
    assert context.header == HEADER


def test_a_child_stays_in_the_trace_with_a_span_of_its_own() -> None:
    context = TraceContext.parse(HEADER)
    assert context is not None
    child = context.child(lambda n: "ab" * n)
    assert child.header == "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01"


@pytest.mark.parametrize(
    "header", ["", "garbage", HEADER.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", HEADER + "-x"]
)
def test_what_is_no_trace_context_is_none(header: str) -> None:
    assert TraceContext.parse(header) is None


def test_a_new_trace_has_ids_of_the_right_length() -> None:
    assert TraceContext.parse(TraceContext.new().header) is not None
