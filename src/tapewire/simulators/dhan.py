"""Dhan's side: the token in the address, packets, its limits and the codes it ends with.

What is not documented is taken from what users report (``brokers.md`` 3): times are written as
the Indian wall clock unless asked otherwise, nothing acknowledges a subscription but its previous
close, and who opens a sixth connection ends the oldest. Depth is empty and order totals are 0,
so that frames have their real size.
"""

import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, field

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.market.ticks import instrument_key
from tapewire.model.events import Tick
from tapewire.providers.dhan.clock import IST_OFFSET_S
from tapewire.providers.dhan.packets import (
    Disconnect,
    Full,
    OpenInterest,
    PreviousClose,
    Quote,
    Segment,
    Ticker,
    Update,
)
from tapewire.providers.dhan.protocol import BROKER, MAX_INSTRUMENTS
from tapewire.providers.dhan.rest import GENERATE_PATH, MASTER_PATH, RENEW_PATH, expires_s
from tapewire.providers.dhan.subscriptions import DISCONNECT_REQUEST, MAX_PER_REQUEST, Mode
from tapewire.providers.dhan.totp import PERIOD_S, secret_bytes, totp
from tapewire.simulators.broker_voice import Account, HttpAnswer, HttpCall, Market, Messages
from tapewire.simulators.dhan_files import dhan_names, master_file
from tapewire.simulators.dhan_frames import encode_depth, encode_frame

PING_EVERY_S: Final = 10.0
MAX_CONNECTIONS: Final = 5
MAX_IN_A_FRAME: Final = 50
"""Instruments in one frame."""

LOGIN_EVERY_S: Final = 120.0
DAY_S: Final = 86_400

EVICTED: Final = 805
TOO_MANY_INSTRUMENTS: Final = 804
UNKNOWN_INSTRUMENT: Final = 813
BAD_REQUEST: Final = 814

_SWITCHING: Final = 101
_NORMAL: Final = 1000
_U16, _U32 = 2**16 - 1, 2**32 - 1
_NO_DEPTH: Final = encode_depth()


class DhanLogin(Struct, frozen=True, kw_only=True):
    """With what a token can be made without a browser."""

    client_id: str
    pin: str
    totp_secret: str


class _Named(Struct):
    segment: str = field(name="ExchangeSegment")
    number: str = field(name="SecurityId")


class _Request(Struct):
    code: int = field(name="RequestCode")
    count: int = field(name="InstrumentCount", default=0)
    instruments: list[_Named] = field(name="InstrumentList", default_factory=list)


_request: Final = msgspec.json.Decoder(_Request)
_MODES: Final = {code: mode for mode in Mode for code in (mode, mode + 1)}


class DhanSide:
    """One simulated Dhan; a `BrokerSide`. ``now_s`` is seconds since 1970.

    ``clock_offset_s`` is how far ahead the times in packets are. Without ``login`` no token can
    be made; those that are given out say themselves when they end, and so do others where they
    can.
    """

    name = BROKER
    ping_every_s: float | None = PING_EVERY_S

    def __init__(
        self,
        market: Market,
        account: Account,
        *,
        now_s: Callable[[], float],
        clock_offset_s: int = IST_OFFSET_S,
        login: DhanLogin | None = None,
    ) -> None:
        self.market = market
        self.account = account
        self.clock_offset_s = clock_offset_s
        self.names = dhan_names(market.instruments.values())
        self._now_s = now_s
        self._login = login
        self._tokens: set[str] = set()
        self._ended: set[str] = set()
        self._passwords: set[str] = set()
        self._last_login_s = float("-inf")
        self._voices: list[DhanVoice] = []

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        """Judge an upgrade by what stands in its address."""
        if not self._is_token(query.get("token", "")) or not query.get("clientId"):
            return _refused(401, "Invalid_Authentication", "ClientId or AccessToken is not valid")
        if (query.get("version"), query.get("authType")) != ("2", "2"):
            return _refused(400, "Input_Exception", "version and authType are to be 2")
        return HttpAnswer(_SWITCHING)

    def voice(self) -> "DhanVoice":
        """A voice for a connection that was admitted; one too many ends the oldest."""
        voice = DhanVoice(self, self._voices.remove)
        self._voices.append(voice)
        most = self.account.max_connections
        open_voices = [one for one in self._voices if one.close_code is None]
        if len(open_voices) > (MAX_CONNECTIONS if most is None else most):
            open_voices[0].evict()
        return voice

    def routes(self) -> Mapping[tuple[str, str], Callable[[HttpCall], Awaitable[HttpAnswer]]]:
        """Making and renewing tokens, and the instrument master."""
        return {
            ("POST", GENERATE_PATH): self._generate,
            ("GET", RENEW_PATH): self._renew,
            ("GET", MASTER_PATH): self._master,
        }

    async def _generate(self, call: HttpCall) -> HttpAnswer:
        """A token for PIN and one-time password; each password once, a token in two minutes."""
        login, now_s = self._login, self._now_s()
        said = call.query.get("dhanClientId"), call.query.get("pin")
        if login is None or said != (login.client_id, login.pin):
            return _refused(400, "DH-901", "Invalid client id or PIN")
        password = call.query.get("totp", "")
        key = secret_bytes(login.totp_secret)
        if password not in {totp(key, now_s - late) for late in (0, PERIOD_S)} - self._passwords:
            return _refused(400, "DH-901", "Invalid TOTP")
        if now_s - self._last_login_s < LOGIN_EVERY_S:
            return _refused(400, "DH-904", "Token can be generated once every 2 minutes")
        self._passwords, self._last_login_s = {password}, now_s
        return self._given(login.client_id)

    async def _renew(self, call: HttpCall) -> HttpAnswer:
        headers = {name.lower(): value for name, value in call.headers.items()}
        token, client_id = headers.get("access-token", ""), headers.get("dhanclientid", "")
        if not self._is_token(token) or not client_id:
            return _refused(401, "DH-901", "Client ID or user generated access token is invalid")
        self._ended.add(token)
        return self._given(client_id)

    async def _master(self, _: HttpCall) -> HttpAnswer:
        return HttpAnswer(body=master_file(self.names), content_type="text/csv")

    def _given(self, client_id: str) -> HttpAnswer:
        """An answer with a new token, good for a day."""
        ends_s = int(self._now_s()) + DAY_S
        claims = {"iss": "dhan", "exp": ends_s, "jti": len(self._tokens), "dhanClientId": client_id}
        parts = ({"typ": "JWT", "alg": "none"}, claims)
        coded = [base64.urlsafe_b64encode(msgspec.json.encode(one)).rstrip(b"=") for one in parts]
        token = b".".join([*coded, b"simulated"]).decode()
        self._tokens.add(token)
        return HttpAnswer(
            body=msgspec.json.encode({"dhanClientId": client_id, "accessToken": token})
        )

    def _is_token(self, token: str) -> bool:
        ends_s = expires_s(token)
        if not token or token in self._ended or (ends_s is not None and ends_s <= self._now_s()):
            return False
        return self.account.token in (None, token) or token in self._tokens


class _Wanted(NamedTuple):
    """What a client has subscribed to."""

    segment: Segment
    number: int
    instrument: Instrument
    mode: Mode


class DhanVoice:
    """One client's connection from Dhan's side; a `Voice`. ``gone`` is told when it is closed."""

    def __init__(self, side: DhanSide, gone: Callable[["DhanVoice"], None]) -> None:
        self._side = side
        self._gone = gone
        self._wanted: dict[str, _Wanted] = {}
        self._interests: dict[str, int] = {}
        self._evicted = False
        self.close_code: int | None = None

    @property
    def listening(self) -> bool:
        """Whether the client has subscribed to something."""
        return bool(self._wanted)

    def opened(self) -> Messages:
        """Dhan waits for requests."""
        return []

    def receive(self, message: bytes | str) -> Messages:
        """Carry out a request: previous closes and states of what is new, or the end."""
        try:
            request = _request.decode(message)
        except (msgspec.DecodeError, UnicodeError):
            return self.disconnect(BAD_REQUEST)
        listed, mode = request.instruments, _MODES.get(request.code)
        if request.code == DISCONNECT_REQUEST:
            self.close_code = _NORMAL
            return []
        if mode is None or request.count != len(listed) or len(listed) > MAX_PER_REQUEST:
            return self.disconnect(BAD_REQUEST)
        names = self._side.names
        found = {(one.segment, one.number): names.get((one.segment, one.number)) for one in listed}
        wanted = [
            _Wanted(Segment[segment], int(number), one, mode)
            for (segment, number), one in found.items()
            if one is not None
        ]
        if len(wanted) < len(found):
            return self.disconnect(UNKNOWN_INSTRUMENT)
        return self._subscribe(wanted) if request.code == mode else self._unsubscribe(wanted)

    def ticks(self, ticks: Sequence[Tick]) -> Messages:
        """Frames of what is subscribed to; last words, once, where the connection was ended."""
        if self._evicted:
            self._evicted = False
            return self.disconnect(EVICTED)
        find = self._wanted.get
        told = ((tick, find(instrument_key(tick.exchange, tick.token))) for tick in ticks)
        return list(
            _frames([*self._packets(tick, wanted)] for tick, wanted in told if wanted is not None)
        )

    def disconnect(self, reason: int) -> Messages:
        """A disconnect packet, and the close behind it."""
        self.close_code = _NORMAL
        return [encode_frame([Disconnect(0, 0, reason)])]

    def evict(self) -> None:
        """End the connection for another's sake; it is told with the next ticks."""
        self.close_code, self._evicted = _NORMAL, True

    def closed(self) -> None:
        """The socket is gone: its place is free."""
        self._gone(self)

    def _subscribe(self, wanted: Sequence[_Wanted]) -> Messages:
        after = self._wanted | {one.instrument.key: one for one in wanted}
        most = self._side.account.max_instruments
        if len(after) > (MAX_INSTRUMENTS if most is None else most):
            return self.disconnect(TOO_MANY_INSTRUMENTS)
        self._wanted = after
        return list(_frames([*self._state(one)] for one in wanted))

    def _unsubscribe(self, wanted: Sequence[_Wanted]) -> Messages:
        for one in wanted:
            self._wanted.pop(one.instrument.key, None)
        return []

    def _state(self, wanted: _Wanted) -> Iterator[Update]:
        """Yesterday's close, and the newest state; before the first trade one without price."""
        market, one = self._side.market, wanted.instrument
        yield PreviousClose(wanted.segment, wanted.number, market.previous_close(one.key), 0)
        yield from self._packets(
            market.last(one.key)
            or Tick(BROKER, one.exchange, one.token, one.symbol, 0.0, 0, 0, None, 0, 0),
            wanted,
        )

    def _packets(self, tick: Tick, wanted: _Wanted) -> Iterator[Update]:
        """A tick in the mode that was asked for; open interest beside a quote when it changed."""
        segment, number, instrument, mode = wanted
        price, time_s = tick.last_price, tick.timestamp_ms // 1_000
        if price is None:
            return
        if time_s:
            time_s += self._side.clock_offset_s
        volume, size = min(tick.day_volume or 0, _U32), tick.last_size & _U16
        interest, day = tick.open_interest, (price, 0.0, price, price)
        if mode is Mode.TICKER or instrument.kind is InstrumentKind.INDEX:
            yield Ticker(segment, number, price, time_s)
        elif mode is Mode.FULL:
            figures = (interest or 0, 0, 0, *day)
            yield Full(
                segment, number, price, size, time_s, price, volume, 0, 0, *figures, _NO_DEPTH
            )
        else:
            if interest is not None and interest != self._interests.get(instrument.key):
                self._interests[instrument.key] = interest
                yield OpenInterest(segment, number, interest)
            yield Quote(segment, number, price, size, time_s, price, volume, 0, 0, *day)


def _frames(packets: Iterable[Sequence[Update]]) -> Iterator[bytes]:
    """Frames of what is to be told of each instrument, ``MAX_IN_A_FRAME`` to one."""
    frame: list[Update] = []
    for number, updates in enumerate(packets):
        if frame and number % MAX_IN_A_FRAME == 0:
            yield encode_frame(frame)
            frame = []
        frame += updates
    if frame:
        yield encode_frame(frame)


def _refused(status: int, code: str, message: str) -> HttpAnswer:
    body = {"errorType": "Error", "errorCode": code, "errorMessage": message}
    return HttpAnswer(status, msgspec.json.encode(body))
