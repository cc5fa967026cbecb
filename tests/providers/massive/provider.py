"""A provider whose every move a test decides, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.providers.massive.events import frame, status

Scene = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One client's connection, from the provider's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def say(self, *events: bytes) -> None:
        await self.socket.send(frame(*events), text=True)

    async def heard(self) -> tuple[str, str]:
        request = msgspec.json.decode(await self.socket.recv())
        return request["action"], request["params"]

    async def admit(self) -> str:
        """Greet, accept the key, acknowledge every topic; the topics asked for."""
        await self.say(status("connected", "Connected Successfully"))
        assert (await self.heard())[0] == "auth"
        await self.say(status("auth_success", "authenticated"))
        topics = (await self.heard())[1]
        await self.say(
            *(status("success", f"subscribed to: {topic}") for topic in topics.split(","))
        )
        return topics

    async def linger(self) -> None:
        """Say nothing more until the client leaves."""
        await self.socket.wait_closed()

    def drop(self) -> None:
        """End without a close frame."""
        self.socket.transport.abort()


class Provider:
    """Plays one scene per connection, the last one again and again."""

    def __init__(self, *scenes: Scene, refusals: tuple[HTTPStatus, ...] = ()) -> None:
        self._scenes = scenes
        self._refusals = list(refusals)
        self.visits = 0
        self.arrived_s: list[float] = []
        self.url = ""

    async def attend(self, socket: ServerConnection) -> None:
        scene = self._scenes[min(self.visits, len(self._scenes) - 1)]
        self.visits += 1
        self.arrived_s.append(asyncio.get_running_loop().time())
        try:
            await scene(Visit(socket))
        except ConnectionClosed:
            return  # the client left in the middle of the scene

    def upgrade(self, socket: ServerConnection, request: Request) -> Response | None:
        if request.path != "/stocks":
            return socket.respond(HTTPStatus.NOT_FOUND, "404 page not found\n")
        if self._refusals:
            return socket.respond(self._refusals.pop(0), "no\n")
        return None


@asynccontextmanager
async def playing(provider: Provider) -> AsyncIterator[Provider]:
    async with serve(
        provider.attend,
        "127.0.0.1",
        0,
        process_request=provider.upgrade,
        compression=None,
        ping_interval=None,
        close_timeout=0.2,
        max_size=None,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        provider.url = f"ws://127.0.0.1:{port}/stocks"
        yield provider
