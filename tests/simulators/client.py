"""A plain client of the Massive simulator, as a test sees the provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tapewire.simulators.massive import MassiveSimulator

Event = dict[str, Any]


class Client:
    """One connection: frames as parsed arrays, and what was collected until the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Event] = []
        self.raw: list[bytes] = []
        self.bad_frames: list[bytes] = []

    async def frame(self) -> list[Event]:
        """The next frame, which must be an array."""
        frame = json.loads(await self.socket.recv())
        assert isinstance(frame, list)
        return frame

    async def ask(self, action: str, params: str) -> None:
        await self.socket.send(json.dumps({"action": action, "params": params}))

    async def login(self, key: str = "key") -> list[Event]:
        """Greeting and login; the answer to the login."""
        assert await self.frame() == [status("connected", "Connected Successfully")]
        await self.ask("auth", key)
        return await self.frame()

    async def subscribe(self, params: str) -> list[Event]:
        """Subscribe and return the next frame."""
        await self.ask("subscribe", params)
        return await self.frame()

    async def take(self, count: int) -> list[Event]:
        """Collect data events until there are ``count``."""
        while len(self.events) < count:
            self._collect(await self.socket.recv(decode=False))
        return self.events

    async def until_closed(self) -> ConnectionClosed:
        """Collect everything until the connection ends; how it ended."""
        while True:
            try:
                self._collect(await self.socket.recv(decode=False))
            except ConnectionClosed as ended:
                return ended

    def statuses(self) -> list[str]:
        return [event["status"] for event in self.events if event["ev"] == "status"]

    def data(self) -> list[Event]:
        return [event for event in self.events if event["ev"] != "status"]

    def _collect(self, frame: bytes) -> None:
        self.raw.append(frame)
        try:
            events = json.loads(frame)
        except ValueError:
            self.bad_frames.append(frame)
            return
        if isinstance(events, list):
            self.events += events
        else:
            self.bad_frames.append(frame)


async def until(happened: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for something that nobody signals; TimeoutError when it does not happen."""
    for _ in range(int(within_s / 0.01)):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"it did not happen within {within_s} s")


def status(kind: str, message: str) -> Event:
    return {"ev": "status", "status": kind, "message": message}


@asynccontextmanager
async def connected(simulator: MassiveSimulator) -> AsyncIterator[Client]:
    """A connected client that has not read its greeting yet."""
    url = f"{simulator.ws_url}/stocks"
    async with connect(url, compression=None, max_size=None, close_timeout=1) as socket:
        yield Client(socket)


@asynccontextmanager
async def subscribed(simulator: MassiveSimulator, params: str = "T.*") -> AsyncIterator[Client]:
    """A client that logged in and subscribed."""
    async with connected(simulator) as client:
        await client.login()
        await client.subscribe(params)
        yield client


@asynccontextmanager
async def running(simulator: MassiveSimulator) -> AsyncIterator[MassiveSimulator]:
    """The simulator started, and stopped at the end."""
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()
