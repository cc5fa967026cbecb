"""Fyers' access token: what the data socket needs is written in it.

A token is a JWT, with or without ``appid:`` before it. Its payload has ``exp`` (seconds since
1970) and ``hsm_key``, which is sent on the socket in the token's place. The signature is not
checked: Fyers does that. Source: the official client.
"""

import binascii
from base64 import urlsafe_b64decode
from typing import Final

import msgspec
from msgspec import Struct

from tapewire.providers.http_text import fits_header

MAX_TOKEN_CHARS: Final = 16_384


class TokenError(ValueError):
    """What was given is no access token of Fyers; the text does not show it."""


class _Claims(Struct):
    exp: float
    hsm_key: str


class AccessToken:
    """A token read; nothing of it is in its ``repr``. ``expires_s``: seconds since 1970."""

    __slots__ = ("app_id", "expires_s", "hsm_key", "jwt")

    def __init__(self, app_id: str, jwt: str, hsm_key: str, expires_s: float) -> None:
        self.app_id = app_id
        self.jwt = jwt
        self.hsm_key = hsm_key
        self.expires_s = expires_s

    def __repr__(self) -> str:
        return f"AccessToken(expires_s={self.expires_s:.0f})"


def read_token(text: str) -> AccessToken:
    """Read ``appid:jwt`` or the JWT alone. Raises TokenError."""
    app_id, _, jwt = text.strip().rpartition(":")
    parts = jwt.split(".")
    if len(parts) != 3 or len(jwt) > MAX_TOKEN_CHARS or not fits_header(jwt):
        raise TokenError(
            f"expected appid:header.payload.signature, found {len(parts)} parts in "
            f"{len(text)} characters; copy the whole access token"
        )
    claims = _claims(parts[1])
    if not fits_header(claims.hsm_key):
        raise TokenError("the token's hsm_key is empty or no key; make a new access token")
    return AccessToken(app_id, jwt, claims.hsm_key, claims.exp)


def _claims(payload: str) -> _Claims:
    try:
        decoded = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(decoded, type=_Claims)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        raise TokenError(
            "expected exp and hsm_key in the token's payload; it must be the access token of "
            "API v3, not an authorisation code"
        ) from None
