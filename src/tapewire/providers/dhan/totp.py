"""One-time passwords by time, RFC 6238, with which a Dhan token is made without a browser."""

import base64
import binascii
import hmac
from typing import Final

PERIOD_S: Final = 30


def secret_bytes(secret: str) -> bytes:
    """The key of a secret in base 32, with or without spaces, hyphens and padding.

    Raises ValueError, which does not show it.
    """
    letters = "".join(letter for letter in secret if letter not in " -=").upper()
    try:
        return base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error:
        raise ValueError("TOTP secret: expected base 32, the letters A to Z and 2 to 7") from None


def totp(key: bytes, now_s: float, *, digits: int = 6, digest: str = "sha1") -> str:
    """The password that holds at ``now_s`` since 1970, RFC 6238 with steps of 30 s."""
    counter = int(now_s) // PERIOD_S
    code = hmac.digest(key, counter.to_bytes(8, "big"), digest)
    offset = code[-1] & 0x0F
    number = int.from_bytes(code[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"
