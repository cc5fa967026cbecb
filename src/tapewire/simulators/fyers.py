"""Fyers' side of a socket, and its REST: what the broker simulator says as Fyers.

The socket has no authorization in its upgrade: the first frame brings the ``hsm_key`` of an
access token. Snapshots answer a subscription, updates follow with what has changed. Fyers
stops sending to a client that does not acknowledge.
"""

import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from tapewire.model.events import Tick
from tapewire.providers.fyers.master import FILES as MASTERS
from tapewire.providers.fyers.protocol import MAX_TOPICS
from tapewire.providers.fyers.requests import PING, Mode, RequestType
from tapewire.providers.fyers.rest import (
    MASTER_PATH,
    MAX_SYMBOLS,
    SYMBOL_TOKEN_PATH,
    VALIDATE_PATH,
)
from tapewire.providers.fyers.segments import topic_of
from tapewire.providers.fyers.token import TokenError, read_token
from tapewire.simulators.broker_voice import Account, HttpAnswer, HttpCall, Market, Messages
from tapewire.simulators.fyers_files import fy_token_of, make_token, public_files, ticker_of
from tapewire.simulators.fyers_frames import (
    Request,
    encode_data,
    encode_notice,
    encode_reply,
    read_request,
    requested_topics,
)
from tapewire.simulators.fyers_state import TopicWriter

SOCKET_PATH: Final = "/hsm/v1-5/prod"
PLAN_LIMIT: Final = 51001
ACK_COUNT: Final = 50
MISSED_ACKS: Final = 20
"""So many times ``ack_count`` frames are sent without an acknowledgement, and no more."""

MAX_RECORDS: Final = 50
"""Records of one data frame."""

PROTOCOL_ERROR: Final = 1002
DAY_S: Final = 86_400

_TOPICS_OF_A_VOICE: Final = 8_192


class _Asked(msgspec.Struct):
    symbols: list[str]


class _Login(msgspec.Struct):
    grant_type: str
    app_id_hash: str = msgspec.field(name="appIdHash")
    code: str = ""


class FyersSide:
    """Fyers for one account: a `BrokerSide`.

    ``account.token`` is made by `make_token`, with or without the app id. ``now_s`` is seconds
    since 1970; ``logins`` has, by the code of a login, the app id and secret it belongs to.
    """

    name = "fyers"
    ping_every_s: float | None = None

    def __init__(
        self,
        market: Market,
        account: Account | None = None,
        *,
        now_s: Callable[[], float],
        ack_count: int = ACK_COUNT,
        logins: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.market = market
        self.account = account or Account()
        self.ack_count = ack_count
        self.topics = {
            topic_of(instrument): instrument for instrument in market.instruments.values()
        }
        self.open = 0
        self._voices = 0
        self._now_s = now_s
        self._logins = dict(logins or {})
        self._files = public_files(market.instruments.values())
        self._tickers = {ticker_of(one): one for one in market.instruments.values()}

    @property
    def max_topics(self) -> int:
        """Topics of one connection, and of the account."""
        bound = self.account.max_instruments
        return MAX_TOPICS if bound is None else bound

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        """Whoever comes to the right path is admitted, as long as there is room."""
        if path != SOCKET_PATH:
            return _error(404, 404, f"there is no {path}; expected {SOCKET_PATH}")
        allowed = self.account.max_connections
        if allowed is not None and self.open >= allowed:
            return _error(429, -429, "too many connections")
        return HttpAnswer(101)

    def voice(self) -> "FyersVoice":
        """A voice for a connection that was admitted; its topic ids are its own."""
        self.open += 1
        self._voices += 1
        return FyersVoice(self, self._voices * _TOPICS_OF_A_VOICE)

    def takes(self, hsm_key: str) -> bool:
        """Whether a socket's key is that of the account's token."""
        token = self.account.token
        return bool(hsm_key) if token is None else hsm_key == read_token(token).hsm_key

    def routes(self) -> Mapping[tuple[str, str], Callable[[HttpCall], Awaitable[HttpAnswer]]]:
        """The calls that a client needs, and the public files."""
        files = {("GET", MASTER_PATH + file): self._publish(file) for file in MASTERS}
        return {
            ("POST", SYMBOL_TOKEN_PATH): self._symbol_tokens,
            ("POST", VALIDATE_PATH): self._validate,
            **files,
        }

    def _publish(self, file: str) -> Callable[[HttpCall], Awaitable[HttpAnswer]]:
        async def answer(_: HttpCall) -> HttpAnswer:
            if file not in self._files:
                return _error(404, 404, f"nothing is listed in {file}")
            return HttpAnswer(200, self._files[file], "application/octet-stream")

        return answer

    async def _symbol_tokens(self, call: HttpCall) -> HttpAnswer:
        objection = self._objection(call.headers.get("Authorization", ""))
        if objection is not None:
            return objection
        try:
            symbols = msgspec.json.decode(call.body, type=_Asked).symbols
        except msgspec.DecodeError as error:
            return _error(400, -50, str(error))
        if len(symbols) > MAX_SYMBOLS:
            return _error(400, -50, f"{len(symbols)} symbols, at most {MAX_SYMBOLS}")
        known = {
            name: fy_token_of(self._tickers[name]) for name in symbols if name in self._tickers
        }
        unknown = [name for name in symbols if name not in known]
        return _ok(validSymbol=known, invalidSymbol=unknown)

    def _objection(self, authorization: str) -> HttpAnswer | None:
        """Why a token is refused, None when it is taken."""
        try:
            token = read_token(authorization)
        except TokenError:
            return _error(401, -15, "Invalid token")
        if token.expires_s <= self._now_s():
            return _error(401, -8, "Your token has expired")
        if self.account.token is not None and token.jwt != read_token(self.account.token).jwt:
            return _error(401, -16, "Could not authenticate the user")
        return None

    async def _validate(self, call: HttpCall) -> HttpAnswer:
        try:
            login = msgspec.json.decode(call.body, type=_Login)
        except msgspec.DecodeError as error:
            return _error(400, -50, str(error))
        expected = self._logins.pop(login.code, None)
        if expected is None or login.grant_type != "authorization_code":
            return _error(400, -437, "invalid auth code")
        if login.app_id_hash != sha256(":".join(expected).encode()).hexdigest():
            return _error(400, -371, "Invalid app id hash")
        made = make_token("SIMULATED", self._now_s() + DAY_S)
        jwt = read_token(self.account.token or made).jwt
        return _ok(access_token=jwt, refresh_token="")


class FyersVoice:
    """One connection from Fyers' side: a `Voice`. Its topic ids count from ``first_id`` on."""

    def __init__(self, side: FyersSide, first_id: int) -> None:
        self.close_code: int | None = None
        self._side = side
        self._next_id = first_id
        self._authenticated = False
        self._topics: dict[str, TopicWriter] = {}
        self._keys: dict[tuple[str, str], TopicWriter] = {}
        self._modes: dict[int, Mode] = {}
        self._paused: set[int] = set()
        self._sent = 0
        self._acknowledged = 0
        self._requests: Mapping[RequestType, Callable[[Request], Messages]] = {
            RequestType.AUTH: self._auth,
            RequestType.ACK: self._acknowledge,
            RequestType.SUBSCRIBE: self._subscribe,
            RequestType.UNSUBSCRIBE: self._unsubscribe,
            RequestType.MODE: self._mode,
            RequestType.PAUSE: self._pause,
            RequestType.RESUME: self._resume,
        }

    @property
    def listening(self) -> bool:
        """Something is subscribed to, and what was sent is acknowledged."""
        return bool(self._topics) and not self._unheard

    @property
    def _unheard(self) -> bool:
        """Too much was sent that the client has not acknowledged."""
        bound = self._side.ack_count * MISSED_ACKS
        return bool(bound) and self._sent - self._acknowledged >= bound

    def opened(self) -> Messages:
        """Fyers waits for the key."""
        return []

    def receive(self, message: bytes | str) -> Messages:
        """Answer a request; before the key was taken, that of the key alone."""
        if isinstance(message, str) or message == PING:
            return []
        try:
            request = read_request(message)
            if not self._authenticated and request.kind is not RequestType.AUTH:
                return []
            return self._requests[request.kind](request)
        except (ValueError, KeyError, IndexError, struct.error):
            self.close_code = PROTOCOL_ERROR
            return []

    def ticks(self, ticks: Sequence[Tick]) -> Messages:
        """Updates of what is subscribed to on channels that are not paused."""
        if self._unheard:
            return []
        records = []
        for tick in ticks:
            writer = self._keys.get((tick.exchange, tick.token))
            if writer is not None and writer.channel not in self._paused:
                is_lite = self._modes.get(writer.channel) is Mode.LITE
                records.append(writer.lite(tick) if is_lite else writer.update(tick))
        return self._frames(records)

    def disconnect(self, reason: int) -> Messages:
        """A notice with the code, and the end."""
        self.close_code = 1000
        return [encode_notice(reason, "disconnected", RequestType.AUTH)]

    def closed(self) -> None:
        """The socket is gone."""
        self._side.open -= 1

    def _frames(self, records: Sequence[bytes]) -> Messages:
        frames: Messages = []
        for first in range(0, len(records), MAX_RECORDS):
            self._sent += 1
            frames.append(encode_data(self._sent, records[first : first + MAX_RECORDS]))
        return frames

    def _auth(self, request: Request) -> Messages:
        self._authenticated = self._side.takes(request.fields[1].decode("ascii", "replace"))
        if not self._authenticated:
            return [encode_reply(RequestType.AUTH, "N")]
        return [encode_reply(RequestType.AUTH, ack_count=self._side.ack_count)]

    def _acknowledge(self, request: Request) -> Messages:
        (self._acknowledged,) = struct.unpack(">I", request.fields[1])
        return []

    def _subscribe(self, request: Request) -> Messages:
        (channel,) = request.fields[2]
        asked = [topic for topic in requested_topics(request) if topic not in self._topics]
        total = len(self._topics) + len(asked)
        if total > self._side.max_topics:
            said = f"{total} symbols, the limit is {self._side.max_topics}"
            return [encode_notice(PLAN_LIMIT, said, RequestType.SUBSCRIBE)]
        writers = [self._add(topic, channel) for topic in asked if topic in self._side.topics]
        market = self._side.market
        snapshots = [
            writer.snapshot(market.last(writer.key), market.previous_close(writer.key))
            for writer in writers
        ]
        return [encode_reply(RequestType.SUBSCRIBE), *self._frames(snapshots)]

    def _add(self, topic: str, channel: int) -> TopicWriter:
        one = self._side.topics[topic]
        writer = TopicWriter(self._next_id % 2**16, topic, one, channel)
        self._next_id += 1
        self._topics[topic] = self._keys[one.exchange, one.token] = writer
        return writer

    def _unsubscribe(self, request: Request) -> Messages:
        for topic in requested_topics(request):
            if self._topics.pop(topic, None) is not None:
                one = self._side.topics[topic]
                del self._keys[one.exchange, one.token]
        return [encode_reply(RequestType.UNSUBSCRIBE)]

    def _mode(self, request: Request) -> Messages:
        mode = Mode(request.fields[2][0])
        self._modes |= dict.fromkeys(_channels(request), mode)
        return [encode_reply(RequestType.MODE)]

    def _pause(self, request: Request) -> Messages:
        self._paused |= _channels(request)
        return [encode_reply(RequestType.PAUSE)]

    def _resume(self, request: Request) -> Messages:
        self._paused -= _channels(request)
        return [encode_reply(RequestType.RESUME)]


def _channels(request: Request) -> set[int]:
    """The channels of a bitmask."""
    (mask,) = struct.unpack(">Q", request.fields[1])
    return {channel for channel in range(64) if mask >> channel & 1}


def _ok(**said: Any) -> HttpAnswer:
    return HttpAnswer(200, msgspec.json.encode({"s": "ok", "code": 200, "message": "", **said}))


def _error(status: int, code: int, message: str) -> HttpAnswer:
    said = {"s": "error", "code": code, "message": message}
    return HttpAnswer(status, msgspec.json.encode(said))
