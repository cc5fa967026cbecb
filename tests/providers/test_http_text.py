"""Addresses, header values and other people's words, as every REST client here checks them."""

import pytest

from tapewire.providers.http_text import MAX_WORDS_CHARS, base_of, fits_header, words


@pytest.mark.parametrize(
    "address", ["", "//", "host", "ftp://host", "http://", "http://a:b@host", "http://h?x=1"]
)
def test_what_is_no_base_address_is_none(address: str) -> None:
    assert base_of(address) is None


def test_a_base_address_ends_without_a_slash() -> None:
    assert str(base_of("https://host:1/v2/")) == "https://host:1/v2"


@pytest.mark.parametrize("value", ["", "two words", "né", "line\n", "\x7f"])
def test_what_a_header_cannot_carry_is_told(value: str) -> None:
    assert not fits_header(value)
    assert fits_header("a.b-c_d:9")


def test_words_are_printable_and_few() -> None:
    assert words(" no\nsuch\x00thing ") == "no such thing"
    assert len(words("x" * 999)) == MAX_WORDS_CHARS
