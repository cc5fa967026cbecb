"""The widget service over real sockets, its store in memory."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tapewire.caches.memory import MemoryWidgetCache
from tapewire.hub.session import Bounds
from tapewire.model.changes import Changes
from tapewire.model.events import Gap
from tapewire.model.messages import CloseCode
from tapewire.runtime.service import DependencyMissing, Report, State, UsageError
from tapewire.services.widget_data import WidgetDataService, WidgetOptions
from tapewire.services.widget_socket import SocketBounds
from tests.analyzers.tape import ms
from tests.caches.rows import candle_rows
from tests.hub.stage import FRIDAY, candle
from tests.services.widget_clients import Shard, closing_of, nobody, serving, viewer

SYMBOLS = tuple(f"SYM{number:03}" for number in range(200))


@pytest.fixture
def cache() -> MemoryWidgetCache:
    return MemoryWidgetCache()


@pytest.fixture
def shard(cache: MemoryWidgetCache) -> Shard:
    return Shard(cache)


@pytest.fixture
async def service(cache: MemoryWidgetCache, shard: Shard) -> AsyncIterator[WidgetDataService]:
    await shard.flush("AIG", "BAC")
    async with serving(cache) as running:
        yield running


@asynccontextmanager
async def bounded(cache: MemoryWidgetCache, **bounds: object) -> AsyncIterator[WidgetDataService]:
    options = WidgetOptions(port=0, socket_bounds=SocketBounds(**bounds))  # type: ignore[arg-type]
    async with serving(cache, options) as running:
        yield running


@asynccontextmanager
async def earlier(port: int) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/ws", compression=None) as connection:
        yield connection


async def http(port: int, path: str, host: str = "localhost") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_rows_reach_a_client(service: WidgetDataService, shard: Shard) -> None:
    async with viewer(service.port) as client:
        assert client.socket.subprotocol == "tapewire.v1"
        await client.subscribe("scanners:top_volume", "quote:AIG", "quote:*")
        assert client.feeds["scanners:top_volume"].order == ["AIG", "BAC"]
        await shard.flush("BAC", "AIG", close=2.5)
        await client.until(lambda: client.close_of("quote:AIG", "AIG") == 2.5)
        await client.until(lambda: client.feeds["scanners:top_volume"].order == ["BAC", "AIG"])
        await client.until_status("quote:AIG", "live")


async def test_candles_are_read_when_asked_for_and_followed(
    service: WidgetDataService, shard: Shard
) -> None:
    first_ms = ms("09:30")

    def of(minute: int, close: float) -> Changes:
        one = candle(first_ms + minute * 60_000, close)
        return Changes(rows=candle_rows("AIG", FRIDAY, [one]))

    await shard.flush("AIG", extra=of(0, 5.0))
    async with viewer(service.port) as client:
        await client.subscribe("candles:1m:AIG", "candles:1m:*")
        rows = client.feeds["candles:1m:AIG"].rows
        assert {start: row["close"] for start, row in rows.items()} == {first_ms: 5.0}
        await shard.flush("AIG", extra=of(1, 6.0))
        await client.until(lambda: first_ms + 60_000 in client.feeds["candles:1m:AIG"].rows)
        await client.until(lambda: client.close_of("candles:1m:*", "AIG") == 6.0)


async def test_a_shard_that_appears_later_is_followed_too(
    cache: MemoryWidgetCache, service: WidgetDataService
) -> None:
    async with viewer(service.port) as client:
        await client.subscribe("quote:*")
        late = Shard(cache, "trades.1")
        await late.flush("SPY", close=9.0)
        await client.until(lambda: client.close_of("quote:*", "SPY") == 9.0)
        await late.flush("SPY", close=10.0)
        await client.until(lambda: client.close_of("quote:*", "SPY") == 10.0)
        assert "AIG" in client.feeds["quote:*"].rows, "the first shard's rows stay"


async def test_an_empty_store_is_stale_until_something_is_written(cache: MemoryWidgetCache) -> None:
    async with serving(cache) as service, viewer(service.port) as client:
        await client.subscribe("quote:*")
        assert client.feeds["quote:*"].status["state"] == "stale"
        shard = Shard(cache)
        writing = asyncio.create_task(keep_writing(shard, "AIG"))
        await client.until_status("quote:*", "live")
        assert client.close_of("quote:*", "AIG") is not None
        writing.cancel()


async def keep_writing(shard: Shard, *symbols: str) -> None:
    """A flush every 50 ms; the price is the number of the flush."""
    while True:
        await shard.flush(*symbols, close=float(shard.written + 1))
        await asyncio.sleep(0.05)


async def test_a_closed_market_is_closed(cache: MemoryWidgetCache, shard: Shard) -> None:
    await shard.flush("AIG")
    async with serving(cache, is_open=False) as service, viewer(service.port) as client:
        await client.subscribe("quote:AIG")
        await client.until_status("quote:AIG", "closed")
        assert client.close_of("quote:AIG", "AIG") == 1.0


async def test_losses_upstream_are_told(service: WidgetDataService, shard: Shard) -> None:
    async with viewer(service.port) as client:
        await client.subscribe("quote:AIG")
        gap = Gap("trades.0", "mdl", 1, 5, 9, 4, 100, 200, "lost")
        await shard.flush("AIG", extra=Changes(gaps=[gap]))
        await client.until(lambda: bool(client.feeds["quote:AIG"].status["gaps"]))
        loss = {"shard": "trades.0", "from_ms": 100, "to_ms": 200, "events": 4}
        assert client.feeds["quote:AIG"].status["gaps"] == [loss]


async def test_services_are_shown_as_the_registry_has_them(cache: MemoryWidgetCache) -> None:
    listed = [Report("listener", "0", State.RUNNING, True, 5, lag_ms=12.0)]

    async def reports() -> list[Report]:
        return listed

    async with serving(cache, reports=reports) as service, viewer(service.port) as client:
        await client.subscribe("system:status")
        await client.until(lambda: "listener:0" in client.feeds["system:status"].rows)
        shown = client.feeds["system:status"].rows["listener:0"]
        assert (shown["state"], shown["healthy"], shown["lag_ms"]) == ("running", True, 12.0)
        listed.clear()
        await client.until(lambda: not client.feeds["system:status"].rows)


async def test_the_earlier_dialect_speaks_back_to_back_on_one_socket_per_widget(
    service: WidgetDataService, shard: Shard
) -> None:
    feeds = ("scanners:top_volume", "quote:AIG", "quote:BAC")
    async with earlier(service.port) as one, earlier(service.port) as two:
        async with earlier(service.port) as three:
            for widget, feed in zip((one, two, three), feeds, strict=True):
                assert widget.subprotocol is None
                await widget.send('{"action":"auth","api_key":"k"}')
                await widget.send(json.dumps({"action": "get", "cache": feed}))
                await widget.send(json.dumps({"action": "subscribe", "feed": feed}))
            for widget, feed in zip((one, two, three), feeds, strict=True):
                first = [json.loads(await widget.recv()) for _ in range(3)]
                assert first[0] == {"status": "authorized"}
                assert first[1]["cache"] == feed
                assert first[1]["data"]
                assert first[2] == {"status": "subscribed", "feed": feed}
            await shard.flush("AIG", "BAC", close=7.0)
            assert await rows_until(one, lambda rows: rows[0]["close"] == 7.0)
            assert await rows_until(two, lambda row: row["close"] == 7.0)
            assert await rows_until(three, lambda row: row["close"] == 7.0)


async def rows_until(widget: ClientConnection, holds: Callable[[Any], bool]) -> bool:
    async with asyncio.timeout(5):
        while not holds(json.loads(await widget.recv())):
            pass
    return True


async def test_both_dialects_share_the_port(service: WidgetDataService) -> None:
    async with viewer(service.port) as new, earlier(service.port) as old:
        await new.say({"op": "ping", "t": 1})
        assert (await new.read())[0]["op"] == "pong"
        await old.send("{}")
        assert json.loads(await old.recv()) == {"status": "invalid action"}


async def test_an_unknown_subprotocol_is_refused(service: WidgetDataService) -> None:
    with pytest.raises(InvalidStatus, match="400"):
        await connect(f"ws://127.0.0.1:{service.port}/ws", subprotocols=["graphql-ws"])  # type: ignore[list-item]


async def test_the_page_of_a_stranger_is_closed_with_4003(service: WidgetDataService) -> None:
    async with viewer(service.port, origin="http://example.com") as client:
        assert await closing_of(client.socket) == CloseCode.FORBIDDEN_ORIGIN
    async with viewer(service.port, origin="http://localhost:8000") as client:
        await client.subscribe("quote:AIG")
    assert service.report().drops["refused_origins"] == 1


async def test_too_many_connections_are_closed_with_4004(cache: MemoryWidgetCache) -> None:
    async with bounded(cache, connections=1) as service:
        async with viewer(service.port), viewer(service.port) as second:
            assert await closing_of(second.socket) == CloseCode.TOO_MANY_CONNECTIONS


@pytest.mark.parametrize("parts", [1, 3])
async def test_an_oversized_message_is_closed_with_4006(
    service: WidgetDataService, parts: int
) -> None:
    async with viewer(service.port) as client:
        text = json.dumps({"op": "ping", "t": "x" * 65_536})
        size = -(-len(text) // parts)
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        await client.socket.send(chunks[0] if parts == 1 else iter(chunks))
        assert await closing_of(client.socket) == CloseCode.MESSAGE_TOO_BIG
    assert service.report().drops["too_big"] == 1


async def test_a_message_of_the_allowed_size_may_come_in_fragments(
    service: WidgetDataService,
) -> None:
    async with viewer(service.port) as client:
        text = json.dumps({"op": "ping", "t": "x" * 65_000})
        await client.socket.send(iter([text[:10], text[10:40_000], text[40_000:]]))
        assert (await client.read())[0]["t"] == "x" * 65_000


async def test_a_flood_is_closed_with_4007(service: WidgetDataService) -> None:
    async with viewer(service.port) as client:
        for _ in range(300):
            await client.socket.send('{"op":"ping"}')
        assert await closing_of(client.socket) == CloseCode.RATE_LIMITED
    assert service.report().drops["rate_limited"] == 1


async def test_what_is_not_json_is_closed_with_4005(service: WidgetDataService) -> None:
    for data in ("hello", b"\x00\x01"):
        async with viewer(service.port) as client:
            await client.socket.send(data)
            assert await closing_of(client.socket) == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        os.urandom(4_096),
        b"GET /ws HTTP/1.1\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
        b"POST /ws HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_garbage_instead_of_a_handshake_ends_that_connection_only(
    service: WidgetDataService, data: bytes
) -> None:
    async with viewer(service.port) as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert b"101 Switching" not in await reader.read()
        writer.close()
        await writer.wait_closed()
        await other.subscribe("quote:AIG")


GARBAGE = (
    b"\xff" * 2_000,  # reserved bits, an opcode that there is not
    b'\x81\x0d{"op":"ping"}',  # not masked
    b"\x83\x80\0\0\0\0",  # a reserved opcode
    b"\x80\x80\0\0\0\0",  # a continuation of nothing
    b"\x89\xfe\x01\x00" + bytes(260),  # a control frame that is too long
)


async def test_garbage_instead_of_frames_ends_that_connection_only(
    service: WidgetDataService,
) -> None:
    async with viewer(service.port) as other:
        for data in GARBAGE:
            async with viewer(service.port) as client:
                client.socket.transport.write(data)
                assert await closing_of(client.socket) == 1002
        await other.subscribe("quote:AIG")
        assert service.report().detail["clients"] == 1
    assert service.report().drops["protocol_errors"] == len(GARBAGE)


async def test_a_handshake_that_takes_too_long_is_cut(cache: MemoryWidgetCache) -> None:
    async with bounded(cache, open_s=0.2) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET /ws HTTP/1.1\r\n")
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_silent_client_is_asked_and_then_given_up(cache: MemoryWidgetCache) -> None:
    async with bounded(cache, ping_s=0.3, silent_s=1.5) as service:
        async with viewer(service.port) as lively:
            quiet = await raw(service.port)
            await lively.read_for(2.4)
            assert service.report().drops["silent_disconnects"] == 1
            assert lively.socket.state.name == "OPEN", "its library answers pings"
            quiet.close()


async def raw(port: int, receive_bytes: int | None = None) -> socket.socket:
    """A client that said hello and then neither reads nor writes."""
    made = socket.socket()
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    loop = asyncio.get_running_loop()
    made.setblocking(False)
    await loop.sock_connect(made, ("127.0.0.1", port))
    request = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: tapewire.v1\r\n\r\n"
    )
    await loop.sock_sendall(made, request.encode())
    assert b"101" in await loop.sock_recv(made, 4_096)
    return made


def masked(message: object) -> bytes:
    """A short message as a client's frame."""
    text = json.dumps(message).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text


async def test_a_client_that_reads_nothing_delays_nobody_and_is_closed(
    cache: MemoryWidgetCache, shard: Shard
) -> None:
    await shard.flush(*SYMBOLS)
    async with bounded(cache, kernel_bytes=8_192, stalled_s=1.5, close_s=0.3) as service:
        stalled = await raw(service.port, receive_bytes=8_192)
        subscribe = masked({"op": "subscribe", "feed": "quote:*"})
        await asyncio.get_running_loop().sock_sendall(stalled, subscribe)
        async with viewer(service.port) as client:
            await client.subscribe("quote:*")
            for price in range(2, 40):
                await shard.flush(*SYMBOLS, close=float(price))
                await client.until_close("quote:*", "SYM199", float(price), seconds=0.5)
            await client.read_for(2.5)
            assert service.report().detail["clients"] == 1
        drops = service.report().drops
        assert drops["slow_disconnects"] == 1
        stalled.close()


async def test_who_does_not_read_the_answers_is_not_read_from(
    cache: MemoryWidgetCache, shard: Shard
) -> None:
    await shard.flush(*SYMBOLS)
    async with bounded(cache, kernel_bytes=8_192) as service, viewer(service.port) as other:
        greedy = await raw(service.port, receive_bytes=8_192)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(greedy, masked({"op": "get", "feed": "quote:*"}))
        for _ in range(50):
            await loop.sock_sendall(greedy, masked({"op": "ping"}))
            await asyncio.sleep(0.002)
        assert service.report().drops["blocked"] == 1
        await other.subscribe("quote:*")
        received = 0
        async with asyncio.timeout(5):
            while received < 50 * len('[{"op":"pong"}]') + 100_000:
                received += len(await loop.sock_recv(greedy, 65_536))
        greedy.close()


def small_socket(port: int) -> socket.socket:
    """A connected socket whose kernel buffer soon is full."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    made.connect(("127.0.0.1", port))
    return made


async def test_more_than_may_wait_for_a_client_closes_it_with_4008(
    cache: MemoryWidgetCache, shard: Shard
) -> None:
    await shard.flush(*(f"SYM{number}" for number in range(6_500)))
    async with bounded(cache, kernel_bytes=65_536, waiting_bytes=100_000) as service:
        made = small_socket(service.port)
        async with viewer(service.port, max_size=None, sock=made) as client:
            client.socket.transport.pause_reading()
            await client.say({"op": "subscribe", "feed": "quote:*"})
            await asyncio.sleep(0.3)
            client.socket.transport.resume_reading()
            assert await closing_of(client.socket) == CloseCode.SLOW_CONSUMER
        assert service.report().drops["slow_disconnects"] == 1


async def test_a_stalled_client_that_reads_again_catches_up(
    cache: MemoryWidgetCache, shard: Shard
) -> None:
    await shard.flush(*SYMBOLS)
    async with bounded(cache, kernel_bytes=8_192) as service, viewer(service.port) as client:
        await client.subscribe("quote:*")
        client.socket.transport.pause_reading()
        for price in range(2, 150):
            await shard.flush(*SYMBOLS, close=float(price))
            await asyncio.sleep(0.005)
        client.socket.transport.resume_reading()
        await client.until(lambda: client.close_of("quote:*", "SYM199") == 149.0)
        assert {client.close_of("quote:*", symbol) for symbol in SYMBOLS} == {149.0}
        assert "slow_disconnects" not in service.report().drops


async def test_draining_closes_with_4000(cache: MemoryWidgetCache) -> None:
    async with serving(cache) as service, viewer(service.port) as client:
        ended = asyncio.create_task(closing_of(client.socket))
        await asyncio.sleep(0.05)
        await service.drain()
        assert await ended == CloseCode.DRAINING
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", service.port)


async def test_health_and_metrics_are_on_the_same_port(service: WidgetDataService) -> None:
    async with viewer(service.port) as client:
        await client.subscribe("quote:AIG")
        assert await http(service.port, "/livez") == (200, "ok\n")
        assert await http(service.port, "/readyz") == (200, "ok\n")
        status, body = await http(service.port, "/health")
        health = json.loads(body)
        assert (status, health["service"], health["clients"]) == (200, "widgets", 1)
        status, body = await http(service.port, "/metrics")
        assert status == 200
        assert 'tapewire_healthy{service="widgets"' in body
        assert (await http(service.port, "/etc/passwd"))[0] == 404
        assert (await http(service.port, "/health", host="rebound.example.com"))[0] == 421


async def test_it_is_not_ready_while_the_store_is_empty(cache: MemoryWidgetCache) -> None:
    async with serving(cache) as service:
        await asyncio.sleep(0.1)
        assert (await http(service.port, "/livez"))[0] == 200
        status, why = await http(service.port, "/readyz")
        assert status == 503
        assert "cache is empty" in why
        assert service.report().state is State.DEGRADED


async def test_a_taken_port_is_said(service: WidgetDataService) -> None:
    other = WidgetDataService(MemoryWidgetCache(), nobody, WidgetOptions(port=service.port))
    with pytest.raises(DependencyMissing, match=r"in use.*TAPEWIRE_HTTP_PORT_WDS"):
        await other.start()


def test_another_host_is_refused() -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0"):
        WidgetDataService(MemoryWidgetCache(), nobody, WidgetOptions(host="0.0.0.0"))


async def test_it_knows_no_commands_yet(service: WidgetDataService) -> None:
    with pytest.raises(ValueError, match="knows none"):
        await service.command("pause", {})


async def test_a_registry_that_does_not_answer_is_counted(cache: MemoryWidgetCache) -> None:
    async def reports() -> list[Report]:
        raise OSError("no registry")

    async with serving(cache, reports=reports) as service:
        await asyncio.sleep(0.1)
        assert service.report().detail["registry_failures"] == 1


async def test_limits_of_a_client_can_be_set(cache: MemoryWidgetCache) -> None:
    options = WidgetOptions(port=0, bounds=Bounds(message_burst=2))
    async with serving(cache, options) as service, viewer(service.port) as client:
        for _ in range(3):
            await client.say({"op": "ping"})
        assert await closing_of(client.socket) == CloseCode.RATE_LIMITED
