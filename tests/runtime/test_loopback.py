"""Where a system without accounts may listen."""

import pytest

from tapewire.runtime.loopback import check_host, hostname
from tapewire.runtime.service import UsageError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_listens_on_this_machine(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_it_listens_nowhere_else(host: str) -> None:
    with pytest.raises(UsageError, match="no accounts yet"):
        check_host(host)


@pytest.mark.parametrize(
    ("header", "name"),
    [("localhost:8000", "localhost"), ("[::1]:8000", "::1"), ("[::1]", "::1"), ("", "")],
)
def test_a_host_header_names_a_host(header: str, name: str) -> None:
    assert hostname(header) == name
