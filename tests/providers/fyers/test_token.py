"""Reading an access token, and not showing it."""

import pytest

from tapewire.providers.fyers.token import TokenError, read_token
from tapewire.simulators.fyers_files import make_token
from tests.providers.fyers.tokens import JWT, NOW_S, TOKEN


@pytest.mark.parametrize(("text", "app_id"), [(TOKEN, "APP-100"), (JWT, ""), (f" {JWT}\n", "")])
def test_a_token_is_read_with_or_without_its_app(text: str, app_id: str) -> None:
    token = read_token(text)
    assert (token.app_id, token.jwt, token.hsm_key) == (app_id, JWT, "HSMKEY-SECRET")
    assert token.expires_s == NOW_S + 3600


def test_a_payload_needs_no_padding() -> None:
    for length in range(1, 9):
        assert read_token(make_token("K" * length, 1.0)).hsm_key == "K" * length


def test_nothing_of_a_token_is_shown() -> None:
    assert repr(read_token(TOKEN)) == f"AccessToken(expires_s={NOW_S + 3600:.0f})"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "found 1 parts in 0 characters"),
        ("auth.code", "found 2 parts"),
        ("a.b.c", "expected exp and hsm_key"),
        ("a.bm90IGpzb24.c", "expected exp and hsm_key"),
        ("a.eyJleHAiOjF9.c", "expected exp and hsm_key"),  # {"exp":1}
        ("a.b\u00e9.c", "expected appid:header"),
        (make_token("", 1.0), "hsm_key is empty"),
        (make_token("caf\u00e9", 1.0), "no key"),
        (f"{JWT} {JWT}", "expected appid:header"),
    ],
)
def test_what_is_no_token_is_refused_without_being_shown(text: str, match: str) -> None:
    with pytest.raises(TokenError, match=match) as refused:
        read_token(text)
    assert not text or text not in str(refused.value)
