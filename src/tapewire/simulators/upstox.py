"""Upstox's side: single-use addresses, refusals, snapshots and live frames, the instrument file.

What is not documented is taken from what users report (``brokers.md`` 1): text frames are
ignored, no request is acknowledged but by data, a refusal is JSON text, and a connection beyond
the plan's number is refused with 403. Depth, greeks and candles are made up around the price,
so that frames have their real size.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, field

from tapewire.market.instruments import Instrument
from tapewire.market.ticks import instrument_key
from tapewire.model.events import Tick
from tapewire.providers.upstox.limits import LIMITS, MAX_CONNECTIONS, LimitError, Plan, check
from tapewire.providers.upstox.messages import FrameKind, Method, Mode
from tapewire.providers.upstox.protocol import BROKER
from tapewire.providers.upstox.rest import AUTHORIZE_PATH, MASTER_PATH
from tapewire.simulators.broker_voice import Account, HttpAnswer, HttpCall, Market, Messages
from tapewire.simulators.upstox_frames import feed_frame, market_frame
from tapewire.simulators.upstox_master import master_file, upstox_key
from tapewire.simulators.upstox_state import StateWriter

FEED_PATH: Final = "/v3/feed/market-data-feed"
"""Where a client with a token may connect without asking for an address first."""

SOCKET_PATH: Final = "/market-data-feeder/v3/upstox-developer-api/feeds"
"""Where single-use addresses lead."""

PING_EVERY_S: Final = 5.0
MAX_FEEDS: Final = 50
"""Instruments in one frame."""

MAX_CODES: Final = 1000
"""Addresses given out and not used; the oldest is forgotten beyond."""


class _Data(Struct):
    mode: Mode = Mode.LTPC
    instrument_keys: list[str] = field(default_factory=list, name="instrumentKeys")


class _Request(Struct):
    method: Method
    guid: str = ""
    data: _Data = field(default_factory=_Data)


_request: Final = msgspec.json.Decoder(_Request)


def _error(code: str, message: str) -> bytes:
    return msgspec.json.encode(
        {"status": "error", "errors": [{"errorCode": code, "message": message}]}
    )


_INVALID_TOKEN: Final = _error("UDAPI100050", "Invalid token used to access API")


class UpstoxSide:
    """One simulated Upstox; a `BrokerSide`.

    ``ws_url`` gives the server's own ``ws://host:port``, known once it listens; ``now_ms`` is
    the clock in frames; ``new_code`` makes the secret of a single-use address.
    """

    name = BROKER
    ping_every_s: float | None = PING_EVERY_S

    def __init__(
        self,
        market: Market,
        account: Account,
        *,
        ws_url: Callable[[], str],
        now_ms: Callable[[], int],
        new_code: Callable[[], str],
        plan: Plan = Plan.STANDARD,
    ) -> None:
        self._market = market
        self._account = account
        self._ws_url = ws_url
        self._now_ms = now_ms
        self._new_code = new_code
        self._plan = plan
        self._codes: dict[str, None] = {}
        self._open = 0
        self._writer = StateWriter(market.previous_close)
        self._by_key = {upstox_key(each): each for each in market.instruments.values()}

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> HttpAnswer:
        """Judge an upgrade by its single-use code; a token at ``FEED_PATH`` is sent on to one."""
        if path == FEED_PATH:
            return self._sent_on(headers)
        if path != SOCKET_PATH:
            return HttpAnswer(404, _error("UDAPI100060", "Resource not Found."))
        if query.get("code", "") not in self._codes:
            return HttpAnswer(410, _error("UDAPI100061", "The address has been used"))
        del self._codes[query["code"]]
        allowed = self._account.max_connections
        if self._open >= (MAX_CONNECTIONS[self._plan] if allowed is None else allowed):
            return HttpAnswer(403, _error("UDAPI100062", "Too many connections"))
        return HttpAnswer(101)

    def voice(self) -> "UpstoxVoice":
        """A voice for a connection that was admitted."""
        self._open += 1
        return UpstoxVoice(
            self._market,
            self._by_key,
            self._writer,
            self._now_ms,
            self._gone,
            plan=self._plan,
            max_instruments=self._account.max_instruments,
        )

    def routes(self) -> Mapping[tuple[str, str], Callable[[HttpCall], Awaitable[HttpAnswer]]]:
        """The authorize call and the instrument file."""
        return {("GET", AUTHORIZE_PATH): self._authorize, ("GET", MASTER_PATH): self._master}

    async def _authorize(self, call: HttpCall) -> HttpAnswer:
        if not self._is_token(call.headers):
            return HttpAnswer(401, _INVALID_TOKEN)
        address = self._new_address()
        data = {"authorized_redirect_uri": address, "authorizedRedirectUri": address}
        return HttpAnswer(body=msgspec.json.encode({"status": "success", "data": data}))

    async def _master(self, _: HttpCall) -> HttpAnswer:
        body = master_file(self._market.instruments.values())
        return HttpAnswer(body=body, content_type="application/gzip")

    def _sent_on(self, headers: Mapping[str, str]) -> HttpAnswer:
        if not self._is_token(headers):
            return HttpAnswer(401, _INVALID_TOKEN)
        return HttpAnswer(302, headers={"Location": self._new_address()})

    def _new_address(self) -> str:
        code = self._new_code()
        self._codes[code] = None
        if len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        return f"{self._ws_url()}{SOCKET_PATH}?code={code}"

    def _gone(self) -> None:
        self._open -= 1

    def _is_token(self, headers: Mapping[str, str]) -> bool:
        given = next((v for k, v in headers.items() if k.lower() == "authorization"), "")
        scheme, _, token = given.partition(" ")
        if scheme != "Bearer" or not token:
            return False
        return self._account.token is None or token == self._account.token


class _Wanted(NamedTuple):
    """What a client has subscribed to: an instrument, under its Upstox key, in a mode."""

    wire_key: str
    key: str
    instrument: Instrument
    mode: Mode


class UpstoxVoice:
    """One client's connection from Upstox's side; a `Voice`."""

    def __init__(
        self,
        market: Market,
        by_key: Mapping[str, Instrument],
        writer: StateWriter,
        now_ms: Callable[[], int],
        gone: Callable[[], None],
        *,
        plan: Plan,
        max_instruments: int | None,
    ) -> None:
        self._market = market
        self._by_key = by_key
        self._writer = writer
        self._now_ms = now_ms
        self._gone = gone
        self._limits = LIMITS[plan]
        self._max_instruments = max_instruments
        self._wanted: dict[str, _Wanted] = {}
        self.close_code: int | None = None

    @property
    def listening(self) -> bool:
        """Whether the client has subscribed to something."""
        return bool(self._wanted)

    def opened(self) -> Messages:
        """The status of all segments: open."""
        segments = sorted({each.exchange for each in self._market.instruments.values()})
        return [market_frame(dict.fromkeys(segments, "NORMAL_OPEN"), self._now_ms())]

    def receive(self, message: bytes | str) -> Messages:
        """Carry out a request: snapshots of what is new, or a refusal. Text is ignored."""
        if isinstance(message, str):
            return []
        try:
            request = _request.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return [_refusal("", f"unreadable request: {error}")]
        keys = request.data.instrument_keys
        unknown = [key for key in keys if key not in self._by_key]
        if not keys or unknown:
            said = f"invalid instrument keys: {', '.join(unknown[:5]) or 'none given'}"
            return [_refusal(request.method, said)]
        named = ((key, self._by_key[key]) for key in keys)
        wanted = {each.key: _Wanted(key, each.key, each, request.data.mode) for key, each in named}
        if request.method is not Method.UNSUBSCRIBE:
            return self._subscribe(wanted, request.method)
        for key in wanted:
            self._wanted.pop(key, None)
        return []

    def ticks(self, ticks: Sequence[Tick]) -> Messages:
        """Live frames of what is subscribed; an instrument is in a frame but once."""
        find = self._wanted.get
        told = ((tick, find(instrument_key(tick.exchange, tick.token))) for tick in ticks)
        return list(self._frames(told, FrameKind.LIVE_FEED))

    def disconnect(self, reason: int) -> Messages:
        """Upstox says nothing before it closes."""
        self.close_code = reason if 1000 <= reason < 5000 else 1011
        return []

    def closed(self) -> None:
        """The socket is gone: its place is free."""
        self._gone()

    def _subscribe(self, wanted: Mapping[str, _Wanted], method: Method) -> Messages:
        after = {**self._wanted, **wanted}
        try:
            check((each.mode for each in after.values()), self._limits)
        except LimitError as error:
            return [_refusal(method, str(error))]
        if self._max_instruments is not None and len(after) > self._max_instruments:
            return [_refusal(method, f"{len(after)} instruments; {self._max_instruments} allowed")]
        self._wanted = after
        states = ((self._state(each.instrument), each) for each in wanted.values())
        return list(self._frames(states, FrameKind.INITIAL_FEED))

    def _state(self, instrument: Instrument) -> Tick:
        """The newest tick of an instrument; before its first, one without a price."""
        return self._market.last(instrument.key) or Tick(
            BROKER, instrument.exchange, instrument.token, instrument.symbol, None, 0, 0, 0, 0, 0
        )

    def _frames(
        self, told: Iterable[tuple[Tick, _Wanted | None]], kind: FrameKind
    ) -> Iterator[bytes]:
        feeds: dict[str, bytes] = {}
        for tick, wanted in told:
            if wanted is None:
                continue
            if wanted.wire_key in feeds or len(feeds) == MAX_FEEDS:
                yield feed_frame(kind, feeds.items(), self._now_ms())
                feeds = {}
            feeds[wanted.wire_key] = self._writer.feed(
                tick, wanted.instrument, wanted.key, wanted.mode
            )
        if feeds:
            yield feed_frame(kind, feeds.items(), self._now_ms())


def _refusal(method: str, error: str) -> str:
    return msgspec.json.encode({"status": "failed", "method": method, "error": error}).decode()
