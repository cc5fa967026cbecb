"""**WidgetDataService** (WDS): feeds to browsers and programs over one WebSocket each.

Snapshot, then deltas, to every client at its own pace. The hub (``hub/``) decides who
gets what; this module has the clock, the listening socket and the loop that ticks.
"""

import asyncio
import errno
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct
from websockets.http11 import Request, Response

from tapewire.caches.cache import CacheError, WidgetCache
from tapewire.caches.interest import Interest
from tapewire.hub.buffers import BUFFERS, Policy
from tapewire.hub.condition import Signs, next_condition
from tapewire.hub.hub import Hub
from tapewire.hub.protocol import Reaction, receive
from tapewire.hub.session import Bounds
from tapewire.hub.tables import Row, StatusTable
from tapewire.model.markets import MARKETS, US, Market, market_of, market_of_shard
from tapewire.model.messages import TICKS_PER_SECOND, CloseCode
from tapewire.model.streams import Stream
from tapewire.runtime.health import describe, is_ready, metrics
from tapewire.runtime.logging import SampledLog, get_logger
from tapewire.runtime.loopback import LOOPBACK, check_host, hostname
from tapewire.runtime.service import DependencyMissing, Report, State
from tapewire.services.undecodable_log import UndecodableLog
from tapewire.services.widget_access import Origins
from tapewire.services.widget_socket import SocketBounds, WidgetSocket, response, text_frame
from tapewire.services.widget_source import WidgetSource

log = get_logger(__name__)

PATH: Final = "/ws"
CHECK_S: Final = 1.0

DRAIN_S: Final = 2.0
"""How long clients may take to answer the close of a server that goes away."""

Reports = Callable[[], Awaitable[Sequence[Report]]]

TAPE: Final = "trades"
"""The family whose feeds are written for symbols that somebody watches."""


class WidgetOptions(Struct, frozen=True, kw_only=True):
    """How the service is reached.

    ``port`` 0 takes any; ``origins`` as in `Origins`; ``setting`` is named in the message
    when the port is taken.
    """

    host: str = "127.0.0.1"
    port: int = 4202
    setting: str = "TAPEWIRE_HTTP_PORT_WDS"
    origins: Collection[str] = ()
    instance: str = "0"
    bounds: Bounds = Bounds()
    socket_bounds: SocketBounds = SocketBounds()


class WidgetDataService:
    """Serves the feeds of one Widget Data Cache.

    Args:
        cache: where the shards write; it belongs to the caller.
        reports: what the registry lists, for ``system:status``.
        interest: told once a second whose time and sales clients watch; None: nobody is.
        is_open: whether a market is open by the wall clock.
        wall_ms: wall clock, ms UTC.
        monotonic_s: a clock that only goes forward.
        epoch: names this hub process to clients; never the same twice.
    """

    name = "widgets"

    def __init__(
        self,
        cache: WidgetCache,
        reports: Reports,
        options: WidgetOptions | None = None,
        *,
        interest: Interest | None = None,
        is_open: Callable[[Market], bool] = lambda market: True,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_s: Callable[[], float] = time.monotonic,
        epoch: str | None = None,
    ) -> None:
        self._options = options or WidgetOptions()
        check_host(self._options.host)
        self.bounds = self._options.socket_bounds
        self.hub = Hub(epoch or secrets.token_hex(8), self._options.bounds)
        self.source = WidgetSource(cache, self.hub.market, monotonic_s)
        self._reports = reports
        self._interest = interest
        self._interest_failures = 0
        self._is_open = is_open
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._origins = Origins(self._options.origins)
        self._sockets: dict[WidgetSocket, None] = {}
        self._clients: dict[WidgetSocket, None] = {}
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._state = State.STARTING
        self._since_ms = wall_ms()
        self._began_s = monotonic_s()
        self._listed: Sequence[Report] = ()
        self._registry_failures = 0
        self._sampled = SampledLog(log, per_second=1)
        self._undecodable = UndecodableLog(self.hub.market.decoding, monotonic_s)
        self._sent = Sent()
        self._ended = asyncio.Event()
        self._all_left = asyncio.Event()
        self.port = self._options.port

    async def start(self) -> None:
        """Listen; DependencyMissing when the port is taken. The store may come later."""
        loop = asyncio.get_running_loop()
        options = self._options
        try:
            self._server = await loop.create_server(
                lambda: WidgetSocket(self), options.host, options.port, backlog=2048
            )
        except OSError as error:
            raise DependencyMissing(self._cannot_listen(error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        work = (self.source.run(), self._tick_forever(), self._look_forever())
        self._tasks = [asyncio.create_task(each) for each in work]
        self._state = State.RUNNING

    def _cannot_listen(self, error: OSError) -> str:
        host, port, setting = self._options.host, self._options.port, self._options.setting
        why = "is in use by another process" if error.errno == errno.EADDRINUSE else str(error)
        return (
            f"cannot listen on {host} port {port}: it {why}. Stop that process, or set"
            f" {setting} to a free port (0 takes any)."
        )

    async def wait(self) -> None:
        """Serve until stopped; raise what broke."""
        ended = asyncio.create_task(self._ended.wait())
        try:
            done, _ = await asyncio.wait({ended, *self._tasks}, return_when="FIRST_COMPLETED")
            for task in done:
                task.result()
        finally:
            ended.cancel()

    async def drain(self) -> None:
        """Take no new clients and send those that there are elsewhere (4000)."""
        self._state = State.DRAINING
        self._send_away()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S if self._sockets else 0):
                await self._all_left.wait()

    def _send_away(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close(CloseCode.DRAINING, "this server is going away; connect again")

    async def stop(self) -> None:
        """Close everything; who has not answered the close by now is cut off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._send_away()
        for client in list(self._sockets):
            client.abort()
        self._ended.set()
        self._state = State.STOPPED

    # The loop

    async def _tick_forever(self) -> None:
        """Tick on a grid of time; ticks that a long one ran over are counted, not made up."""
        loop = asyncio.get_running_loop()
        began_s, ticks = loop.time(), 0
        while True:
            await asyncio.sleep(began_s + (ticks + 1) / TICKS_PER_SECOND - loop.time())
            now_s = loop.time()
            passed = max(1, int((now_s - began_s) * TICKS_PER_SECOND) - ticks)
            ticks += passed
            self.tick(passed)
            self._sent.tick_s = max(self._sent.tick_s, loop.time() - now_s)

    def tick(self, passed: int = 1) -> None:
        """Send every client what it is due."""
        for delivery in self.hub.tick(self._wall_ms(), passed):
            frames = [text_frame(text) for text in delivery.texts]
            for session in delivery.sessions:
                for frame in frames:
                    session.peer.send(frame)
            self._sent.count(frames, len(delivery.sessions))

    async def _look_forever(self) -> None:
        """Once a second: who runs, how the feeds are, which clients still live."""
        while True:
            await self._look()
            await self._tell_interest()
            self._undecodable.look()
            now_s = asyncio.get_running_loop().time()
            for client in list(self._clients):
                client.check(now_s)
            await asyncio.sleep(CHECK_S)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(CHECK_S):
                self._listed = await self._reports()
        except Exception as error:  # noqa: BLE001 - counted, whatever the registry does
            self._registry_failures += 1
            self._sampled.warning("registry does not answer", reason=type(error).__name__)
        else:
            self.hub.market.show_services([service_row(report) for report in self._listed])
        known, now_ms = self.hub.conditions, self._wall_ms()
        self.hub.set_conditions(
            {
                market.name: next_condition(known.of(market), self._signs(market), now_ms)
                for market in self._carried()
            }
        )

    async def _tell_interest(self) -> None:
        symbols = self.hub.watched(TAPE)
        if self._interest is None or not symbols:
            return
        try:
            async with asyncio.timeout(CHECK_S):
                await self._interest.renew(symbols)
        except (CacheError, TimeoutError) as error:
            self._interest_failures += 1
            self._sampled.warning("interest cannot be written", reason=type(error).__name__)

    def _carried(self) -> Sequence[Market]:
        """The markets of which there are shards; the US one until there are any."""
        found = {market_of_shard(shard) for shard in self.source.shards} or {US}
        return [market for market in MARKETS if market in found]

    def _signs(self, market: Market) -> Signs:
        at_s = self.source.rows_at_s.get(market)
        listeners = [one for one in self._listed if one.service == "listener"]
        ours = [one for one in listeners if market in markets_of(one)]
        return Signs(
            away=self.source.away,
            quiet_ms=None if at_s is None else (self._monotonic_s() - at_s) * 1000,
            lag_ms=lag_of(self._listed, market),
            is_open=self._is_open(market),
            trouble=next((each.reason for each in ours if not each.healthy), ""),
        )

    # What sockets ask (``widget_socket.Desk``)

    def entered(self, client: WidgetSocket) -> None:
        """A connection was made; it is no client yet."""
        self._sockets[client] = None

    def left(self, client: WidgetSocket) -> None:
        """A connection is gone."""
        self._sockets.pop(client, None)
        if not self._sockets and self._state is State.DRAINING:
            self._all_left.set()

    def answer(self, request: Request) -> Response | None:
        """Health and metrics, or nothing for the WebSocket's own path."""
        path = request.path.partition("?")[0]
        name = hostname(request.headers.get("Host", ""))
        if name not in LOOPBACK:
            expected = ", ".join(sorted(LOOPBACK))
            text = f"this server is not {name!r}; expected one of {expected}\n"
            return response(421, "Misdirected Request", TEXT, text.encode())
        if path == PATH:
            return None
        return self._plain(path)

    def _plain(self, path: str) -> Response:
        report, uptime_s = self.report(), self._monotonic_s() - self._began_s
        if path == "/livez" or (path == "/readyz" and is_ready(report)):
            return response(200, "OK", TEXT, b"ok\n")
        if path == "/readyz":
            text = f"{report.state}: {report.reason or 'not ready'}\n"
            return response(503, "Service Unavailable", TEXT, text.encode())
        if path == "/health":
            body = msgspec.json.encode(describe(report, uptime_s))
            return response(200, "OK", "application/json", body)
        if path == "/metrics":
            body = metrics(report, uptime_s).encode()
            return response(200, "OK", "text/plain; version=0.0.4", body)
        text = f"there is nothing at {path[:80]!r}; the feeds are at {PATH}\n"
        return response(404, "Not Found", TEXT, text.encode())

    def opened(self, client: WidgetSocket, origin: str | None) -> CloseCode | None:
        """Welcome a client, unless its page is a stranger's or there are too many."""
        if not self._origins.allow(origin):
            self.count("refused_origins")
            return CloseCode.FORBIDDEN_ORIGIN
        if self._state is not State.RUNNING:
            return CloseCode.DRAINING
        if len(self._sockets) > self.bounds.connections:
            self.count("refused_connections")
            return CloseCode.TOO_MANY_CONNECTIONS
        client.session = self.hub.connect(client.dialect, self._wall_ms(), client)
        self._clients[client] = None
        return None

    def received(self, client: WidgetSocket, data: bytes, *, is_text: bool) -> Reaction:
        """Answer a message."""
        assert client.session is not None
        reaction = receive(self.hub, client.session, data, is_text=is_text, now_ms=self._wall_ms())
        self.source.want()
        return reaction

    def closed(self, client: WidgetSocket) -> None:
        """Forget a client."""
        if client.session is not None:
            self.hub.disconnect(client.session)
        self._clients.pop(client, None)

    def count(self, what: str) -> None:
        """Count something worth a figure."""
        self.hub.counters[what] += 1

    # What operators ask

    def report(self) -> Report:
        """Clients, frames, conflation; healthy while the change streams are followed."""
        sent, now_ms = self._sent, self._wall_ms()
        counters, undecodable = self.hub.counters, self.hub.market.decoding.counts
        running = self._state is State.RUNNING
        away = self.source.away
        return Report(
            service=self.name,
            instance=self._options.instance,
            state=State.DEGRADED if running and away else self._state,
            healthy=running and not away,
            since_ms=self._since_ms,
            rates=sent.rates(now_ms),
            drops={name: counters[name] for name in DROPS if counters[name]}
            | ({"undecodable": undecodable.total()} if undecodable else {}),
            detail={
                "address": f"ws://{self._options.host}:{self.port}{PATH}",
                "clients": len(self._clients),
                "feeds": {
                    "state": self.hub.conditions.of(None).state,
                    "markets": {n: one.state for n, one in self.hub.conditions.known.items()},
                    **self.hub.figures,
                    "undecodable": dict(undecodable),
                },
                "shards": {shard: str(place) for shard, place in self.source.shards.items()},
                "counters": dict(counters),
                "resets": self.source.resets,
                "tick_ms": round(sent.worst_tick_ms(), 2),
                "registry_failures": self._registry_failures,
                "interest_failures": self._interest_failures,
            },
            reason=away,
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """There are none yet."""
        raise ValueError(f"unknown command {name!r}; the widget service knows none")


TEXT: Final = "text/plain; charset=utf-8"

_STREAMS: Final = frozenset(stream.value for stream in Stream)

DROPS: Final = (
    *(buffer.counter for buffer in BUFFERS if buffer.policy is not Policy.DROP_OLDEST),
    "silent_disconnects", "too_big", "protocol_errors", "refused_origins",
    "refused_connections", "refused_handshakes",
)  # fmt: skip
"""Counters of what clients did not get, or had to be refused."""


class Sent:
    """What went out: frames and bytes, and the longest tick since somebody asked."""

    def __init__(self) -> None:
        self.tick_s = 0.0
        self._totals: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._at_ms = 0
        self._rates: dict[str, float] = {}

    def count(self, frames: Sequence[bytes], clients: int) -> None:
        """Some frames went to some clients."""
        self._totals["frames"] += len(frames) * clients
        self._totals["bytes"] += sum(map(len, frames)) * clients

    def rates(self, now_ms: int) -> dict[str, float]:
        """Frames and bytes a second, over the time since the last look half a second ago."""
        seconds = (now_ms - self._at_ms) / 1000
        if seconds >= 0.5:
            new = self._totals - self._seen
            self._rates = {f"{name}_sent": round(n / seconds, 1) for name, n in new.items()}
            self._seen, self._at_ms = self._totals.copy(), now_ms
        return self._rates

    def worst_tick_ms(self) -> float:
        """The longest tick since the last question."""
        worst, self.tick_s = self.tick_s, 0.0
        return worst * 1000


def markets_of(report: Report) -> Collection[Market]:
    """The markets of what a listener carries, as far as it says so; else the US one."""
    streams = {name.partition(".")[0] for name in (*report.rates, *report.queues)}
    return {market_of(Stream(name)) for name in streams & _STREAMS} or {US}


def lag_of(reports: Iterable[Report], market: Market) -> float | None:
    """How far a market's event time is behind the clock in whichever shard is furthest, ms."""
    shards = [
        (shard, figures.get("lag_ms"))
        for report in reports
        if report.service == "processor"
        for shard, figures in report.detail.get("shards", {}).items()
    ]
    lags = (lag for shard, lag in shards if market_of_shard(shard) == market and lag is not None)
    return min(lags, default=None)


def service_row(report: Report) -> Row:
    """A service's row in ``system:status``, in the order of ``StatusTable.fields``."""
    values = {"id": f"{report.service}:{report.instance}", **msgspec.structs.asdict(report)}
    values["state"] = report.state.value
    return tuple(values[name] for name in StatusTable.fields)
