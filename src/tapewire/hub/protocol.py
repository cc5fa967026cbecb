"""The two dialects: a client's message in, what to send and whether to close out.

Sans-IO. ``tapewire.v1`` is spoken where the handshake agreed on it, the earlier dialect
where there was no subprotocol. The tables at the end say who handles what.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from tapewire.hub.feeds import Target, UnknownFeedError, parse_feed
from tapewire.hub.hub import BOARD_PUSH_HZ, Hub
from tapewire.hub.session import Session
from tapewire.hub.writers import EARLIER, V1, frames
from tapewire.model.messages import (
    DEFAULT_RATE_HZ,
    Auth,
    CloseCode,
    EarlierRequest,
    Error,
    ErrorCode,
    Get,
    Id,
    Ok,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    decode_client,
    decode_earlier,
    decode_head,
    encode,
)


class Reaction(Struct):
    """What a message brings: texts of frames to send, then perhaps the end."""

    texts: list[bytes] = field(default_factory=list)
    close: CloseCode | None = None
    reason: str = ""


def receive(hub: Hub, session: Session, data: bytes, *, is_text: bool, now_ms: float) -> Reaction:
    """One message of a client.

    ``now_ms``: wall clock, for the allowance and for ``pong``.
    """
    if not session.allowance.take(now_ms):
        hub.counters["rate_limited"] += 1
        per_minute, burst = hub.bounds.messages_per_minute, hub.bounds.message_burst
        return Reaction(
            close=CloseCode.RATE_LIMITED,
            reason=f"more than {per_minute} messages a minute, {burst} at once",
        )
    speaker = _SPEAKERS[session.dialect](hub, session, int(now_ms))
    return speaker.receive(data, is_text=is_text)


class V1Speaker:
    """One message of ``tapewire.v1``."""

    def __init__(self, hub: Hub, session: Session, now_ms: int) -> None:
        self._hub = hub
        self._session = session
        self._now_ms = now_ms

    def receive(self, data: bytes, *, is_text: bool) -> Reaction:
        """Answer a message; what is not JSON text closes the socket (4005)."""
        if not is_text:
            return self._broken("binary frame; expected JSON text")
        try:
            message = decode_client(data)
        except msgspec.ValidationError as error:
            answers = [self._error(ErrorCode.BAD_REQUEST, str(error), _id_of(data))]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._broken(f"not JSON: {error}")
        else:
            answers = _V1[type(message)](self, message)
        answers += self._hub.flush(self._session)
        return Reaction(frames(V1, answers))

    def _broken(self, reason: str) -> Reaction:
        self._hub.counters["protocol_errors"] += 1
        return Reaction(close=CloseCode.PROTOCOL_ERROR, reason=reason[:100])

    def _error(self, code: str, message: str, id_: Id | None) -> bytes:
        self._hub.counters["errors"] += 1
        return encode(Error(code, message, id_))

    def auth(self, message: Auth) -> list[bytes]:
        """Anyone may: there are no accounts, and only this machine can connect."""
        return [encode(Ok(message.id))]

    def ping(self, message: Ping) -> list[bytes]:
        """Say that we live, and what time it is."""
        return [encode(Pong(message.t, self._now_ms, message.id))]

    def get(self, message: Get) -> list[bytes]:
        """One snapshot; it comes with the flush."""
        try:
            target = parse_feed(message.feed)
        except UnknownFeedError as error:
            return [self._error(ErrorCode.UNKNOWN_FEED, str(error), message.id)]
        if self._hub.get(self._session, target, message.limit, message.id):
            return []
        most = self._hub.bounds.waiting_gets
        text = f"{most} requests wait already; wait for their answers"
        return [self._error(ErrorCode.BAD_REQUEST, text, message.id)]

    def unsubscribe(self, message: Unsubscribe) -> list[bytes]:
        """No more of these; also fine for one that was not subscribed."""
        for feed in _names(message):
            self._hub.unsubscribe(self._session, feed)
        return [encode(Ok(message.id))]

    def subscribe(self, message: Subscribe) -> list[bytes]:
        """One snapshot or resumption for each feed; errors for those that cannot be had."""
        if message.filter is not None:
            text = "filter is not supported yet; leave it out"
            return [self._error(ErrorCode.UNSUPPORTED, text, message.id)]
        names = _names(message)
        if not names:
            text = "subscribe names no feed; expected feed or feeds"
            return [self._error(ErrorCode.BAD_REQUEST, text, message.id)]
        return [error for name in names if (error := self._subscribe(name, message))]

    def _subscribe(self, name: str, message: Subscribe) -> bytes | None:
        most = self._hub.bounds.subscriptions
        known = self._session.subscriptions
        if name not in known and len(known) >= most:
            text = f"{name[:80]}: {most} subscriptions already; unsubscribe from one first"
            return self._error(ErrorCode.TOO_MANY_SUBSCRIPTIONS, text, message.id)
        try:
            self._hub.subscribe(
                self._session,
                parse_feed(name),
                fields=message.fields,
                limit=message.limit,
                rate_hz=message.rate_hz,
                since=message.since,
                id_=message.id,
            )
        except UnknownFeedError as error:
            return self._error(ErrorCode.UNKNOWN_FEED, str(error), message.id)
        except ValueError as error:
            return self._error(ErrorCode.UNKNOWN_FIELD, str(error), message.id)
        return None


def _names(message: Subscribe | Unsubscribe) -> list[str]:
    names = [message.feed] if message.feed is not None else []
    return list(dict.fromkeys(names + message.feeds))


def _id_of(data: bytes) -> Id | None:
    try:
        return decode_head(data).id
    except msgspec.DecodeError:
        return None


class EarlierSpeaker:
    """One message of the dialect that has no subprotocol."""

    def __init__(self, hub: Hub, session: Session, now_ms: int) -> None:
        self._hub = hub
        self._session = session

    def receive(self, data: bytes, *, is_text: bool) -> Reaction:
        """Answer a message; whatever cannot be understood is an invalid action."""
        answers = [_INVALID]
        try:
            request = decode_earlier(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._hub.counters["protocol_errors"] += 1
        else:
            answers = _EARLIER.get(request.action, EarlierSpeaker.invalid)(self, request)
        answers += self._hub.flush(self._session)
        return Reaction(frames(EARLIER, answers))

    def invalid(self, request: EarlierRequest) -> list[bytes]:
        """Not an action, or not for anything that there is."""
        return [_INVALID]

    def auth(self, request: EarlierRequest) -> list[bytes]:
        """Anyone may: there are no accounts, and only this machine can connect."""
        return [_status("authorized")]

    def subscribe(self, request: EarlierRequest) -> list[bytes]:
        """Confirm, then push rows."""
        target = _target(request.feed)
        known = self._session.subscriptions
        full = len(known) >= self._hub.bounds.subscriptions
        if target is None or (full and target.name not in known):
            return [_INVALID]
        rate_hz = BOARD_PUSH_HZ if target.is_ranked else DEFAULT_RATE_HZ
        self._hub.subscribe(self._session, target, rate_hz=rate_hz)
        return [_status("subscribed", target.name)]

    def unsubscribe(self, request: EarlierRequest) -> list[bytes]:
        """Confirm; push no more."""
        target = _target(request.feed)
        if target is None:
            return [_INVALID]
        self._hub.unsubscribe(self._session, target.name)
        return [_status("unsubscribed", target.name)]

    def get(self, request: EarlierRequest) -> list[bytes]:
        """The rows as they are now; null for what is unknown."""
        if request.cache is None:
            return [_INVALID]
        target = _target(request.cache)
        if target is None:
            return [b'{"cache":%s,"data":null}' % encode(request.cache)]
        taken = self._hub.get(self._session, target, request.limit, None)
        return [] if taken else [_INVALID]


def _target(name: str | None) -> Target | None:
    try:
        return parse_feed(name) if name else None
    except UnknownFeedError:
        return None


def _status(status: str, feed: str | None = None) -> bytes:
    return encode({"status": status} if feed is None else {"status": status, "feed": feed})


_INVALID: Final = _status("invalid action")

_V1: Final[Mapping[type, Callable[[V1Speaker, Any], list[bytes]]]] = {
    Auth: V1Speaker.auth,
    Subscribe: V1Speaker.subscribe,
    Unsubscribe: V1Speaker.unsubscribe,
    Get: V1Speaker.get,
    Ping: V1Speaker.ping,
}

_EARLIER: Final[Mapping[str, Callable[[EarlierSpeaker, EarlierRequest], list[bytes]]]] = {
    "auth": EarlierSpeaker.auth,
    "subscribe": EarlierSpeaker.subscribe,
    "unsubscribe": EarlierSpeaker.unsubscribe,
    "get": EarlierSpeaker.get,
}

_SPEAKERS: Final[Mapping[str, type[V1Speaker] | type[EarlierSpeaker]]] = {
    V1: V1Speaker,
    EARLIER: EarlierSpeaker,
}
