"""The words of Upstox: requests and refusals."""

import json

from tapewire.providers.upstox.messages import Method, Mode, Refusal, read_refusal, request


def test_a_request_names_its_keys_and_mode() -> None:
    keys = ["NSE_FO|45450", "NSE_INDEX|Nifty 50"]
    assert json.loads(request("g", Method.CHANGE_MODE, keys, Mode.OPTION_GREEKS)) == {
        "guid": "g",
        "method": "change_mode",
        "data": {"mode": "option_greeks", "instrumentKeys": keys},
    }
    assert json.loads(request("g", Method.UNSUBSCRIBE, keys))["data"] == {"instrumentKeys": keys}


def test_a_refusal_is_read_whatever_it_is() -> None:
    said = '{"status": "failed", "method": "sub", "error": "too many", "code": 5}'
    assert read_refusal(said) == Refusal("failed", "sub", "too many")
    assert read_refusal("no JSON") == Refusal("unreadable", "", "no JSON")
