"""What every client that keeps a socket up has alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tapewire.providers.socket_client import SocketBounds, SocketClient, connecting, leave


class Sleeper(SocketClient[SocketBounds]):
    """A client that does nothing but wait."""

    def waits_s(self, count: int) -> list[float]:
        return [self._backoff_s() for _ in range(count)]

    async def wait(self, work_s: float) -> str | None:
        return await self._unless_stopped(asyncio.sleep(work_s, "done"))


def sleeper(bounds: SocketBounds | None = None, draw: float = 1.0) -> Sleeper:
    made = bounds or SocketBounds()
    return Sleeper(made, clock=lambda: 0.0, draw=lambda: draw, live=lambda: True)


class Server:
    """Keeps the close codes of its clients; sends ``burst`` frames to each at once."""

    url = ""
    burst = 0

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def attend(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for _ in range(self.burst):
                await socket.send(b"x" * 1_000)
            async for message in socket:
                self.heard.append(message)
        await self.codes.put(socket.close_code)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serve(made.attend, "127.0.0.1", 0, close_timeout=0.2) as listening:
        made.url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        yield made


def test_waits_double_up_to_the_cap() -> None:
    assert sleeper(SocketBounds(backoff_base_s=1, backoff_cap_s=5)).waits_s(5) == [1, 2, 4, 5, 5]
    assert sleeper(draw=0.0).waits_s(40) == [0.0] * 40


async def test_work_ends_when_the_client_is_stopped() -> None:
    client = sleeper()
    assert await client.wait(0.0) == "done"
    waiting = asyncio.create_task(client.wait(60.0))
    client.stop()
    assert await asyncio.wait_for(waiting, 5.0) is None


def test_a_pause_lasts_until_it_is_resumed() -> None:
    client = sleeper()
    client.pause()
    assert client.paused
    client.resume()
    assert not client.paused


@pytest.mark.parametrize("burst", [0, 100])
async def test_who_leaves_says_good_bye_and_closes_with_1000(server: Server, burst: int) -> None:
    server.burst = burst
    socket = await connecting(server.url, SocketBounds())
    await leave(socket, ["bye"], 2.0)
    assert await asyncio.wait_for(server.codes.get(), 5.0) == 1000
    assert server.heard == ["bye"]


async def test_a_server_that_does_not_answer_is_cut_off() -> None:
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        request = protocol.events_received()[0]
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.writelines(protocol.data_to_send())
        with suppress(ConnectionResetError):
            while await reader.read(1_000):
                pass
        gone.set()
        writer.close()

    gone = asyncio.Event()
    async with await asyncio.start_server(upgrade, "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        socket = await connecting(f"ws://127.0.0.1:{port}", SocketBounds())
        await leave(socket, (), 0.1)
        await asyncio.wait_for(gone.wait(), 5.0)
