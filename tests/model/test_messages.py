"""Messages as they are on the wire: op first, nothing that says nothing."""

import msgspec
import pytest

from tapewire.model.messages import (
    Delta,
    Error,
    Loss,
    Ok,
    Pong,
    Since,
    Snapshot,
    Status,
    Subscribe,
    decode_client,
    encode,
)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            Snapshot("quote:AIG", "e", 4, 9, "symbol", []),
            b'{"op":"snapshot","feed":"quote:AIG","epoch":"e","seq":4,"ts":9,"key":"symbol","rows":[]}',
        ),
        (
            Snapshot("q", "e", 4, 9, "symbol", [], 1, 2),
            (
                b'{"op":"snapshot","feed":"q","epoch":"e","seq":4,"ts":9,"key":"symbol","rows":[],'
                b'"part":1,"parts":2}'
            ),
        ),
        (Delta("q", 5, 4, 9), b'{"op":"delta","feed":"q","seq":5,"prev":4,"ts":9}'),
        (
            Delta("q", 5, 4, 9, [{"symbol": "A"}], ["B"], ["A"]),
            (
                b'{"op":"delta","feed":"q","seq":5,"prev":4,"ts":9,"set":[{"symbol":"A"}],'
                b'"del":["B"],"order":["A"]}'
            ),
        ),
        (
            Status("q", "stale", 7, "why", [Loss("trades.0", 1, 2, None)]),
            (
                b'{"op":"status","feed":"q","state":"stale","since":7,"reason":"why",'
                b'"gaps":[{"shard":"trades.0","from_ms":1,"to_ms":2,"events":null}]}'
            ),
        ),
        (Ok(), b'{"op":"ok"}'),
        (Ok("a"), b'{"op":"ok","id":"a"}'),
        (Pong(1, 2), b'{"op":"pong","t":1,"time":2}'),
        (Error("c", "m", 3), b'{"op":"error","code":"c","message":"m","id":3}'),
    ],
)
def test_the_server_s_messages(message: object, text: bytes) -> None:
    assert encode(message) == text


def test_a_subscription_is_read_with_its_defaults() -> None:
    message = decode_client(b'{"feed":"q","op":"subscribe","since":{"epoch":"e","seq":3},"new":1}')
    assert isinstance(message, Subscribe)
    assert (message.feed, message.feeds, message.rate_hz) == ("q", [], 10)
    assert message.since == Since("e", 3)
    assert message.filter is None


@pytest.mark.parametrize("rate", [0, 3, 100, 2.5, '"10"'])
def test_only_the_shared_rates_are_taken(rate: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_client(f'{{"op":"subscribe","feed":"q","rate_hz":{rate}}}')
