"""Texts of HTTP that every REST client checks alike: addresses, header values, their words."""

from typing import Final

from yarl import URL

MAX_WORDS_CHARS: Final = 200
"""How much of the other side's own words is kept."""


def base_of(address: str) -> URL | None:
    """The address that calls are built on; None where it is none.

    ``http(s)://host[:port][/path]``, without credentials or query, since it is shown and stored.
    """
    try:
        url = URL(address.rstrip("/"))
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.user:
        return None
    return url


def fits_header(value: str) -> bool:
    """Whether a header can carry a key or token: something, of printable ASCII without spaces."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def words(text: str) -> str:
    """The other side's words for people: printable, and not too many."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_WORDS_CHARS].strip()
