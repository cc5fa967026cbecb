"""Which pages may connect while there are no accounts."""

import pytest

from tapewire.services.widget_access import Origins


@pytest.mark.parametrize(
    "origin",
    [None, "http://localhost:8000", "http://127.0.0.1:5173", "https://localhost", "http://[::1]:1"],
)
def test_pages_of_this_machine_and_programs_may(origin: str | None) -> None:
    assert Origins().allow(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://example.com", "http://localhost.example.com", "file://", "http://[::1",
        "http://127.0.0.1.example.com:8000", "chrome-extension://localhost",
    ],
)  # fmt: skip
def test_pages_of_strangers_may_not(origin: str) -> None:
    assert not Origins().allow(origin)


def test_a_list_of_origins_replaces_the_default() -> None:
    origins = Origins(["https://Desk.example.com/"])
    assert origins.allow("https://desk.example.com")
    assert origins.allow(None)
    assert not origins.allow("http://localhost:8000")
    assert not origins.allow("https://desk.example.com:8443")
