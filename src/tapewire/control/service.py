"""The control plane as a service: uvicorn in our event loop, on a socket that we opened."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from tapewire.runtime.loopback import check_host
from tapewire.runtime.service import DependencyMissing, Report, State


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the runner decides when we end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self.ready.set()


class ControlPlane:
    """Serve ``app`` on ``host`` and ``port`` (0: a free one) until stopped."""

    name = "control"

    def __init__(
        self, app: FastAPI, host: str, port: int, setting: str, since_ms: int, instance: str = "0"
    ) -> None:
        self._host, self._port, self._setting = check_host(host), port, setting
        self._since_ms, self._instance = since_ms, instance
        self._state = State.STARTING
        self._server = _Server(
            uvicorn.Config(app, log_config=None, lifespan="off", server_header=False, loop="none")
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    async def start(self) -> None:
        """Listen; DependencyMissing when the port is taken."""
        listening = self._listen()
        self._port = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([listening]), name="control plane")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        self._state = State.RUNNING

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._port))
        except OSError as error:
            listening.close()
            raise DependencyMissing(
                f"the dashboard cannot listen on {self._host}:{self._port}: {error.strerror}; stop"
                f" what has the port, or choose another one with {self._setting}"
            ) from error
        return listening

    async def wait(self) -> None:
        """Return when the server has ended; raise what ended it."""
        if self._serving is not None:
            await self._serving

    async def drain(self) -> None:
        """Take no new requests; answers under way are finished."""
        self._state = State.DRAINING
        self._server.should_exit = True

    async def stop(self) -> None:
        """Close every connection."""
        self._server.should_exit = self._server.force_exit = True
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=2)
            self._serving.cancel()
        self._state = State.STOPPED

    def report(self) -> Report:
        """Whether it listens, and where."""
        return Report(
            self.name,
            self._instance,
            self._state,
            self._state is State.RUNNING,
            self._since_ms,
            detail={"address": f"http://{self._host}:{self._port}"},
        )

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """There are none yet."""
        raise ValueError(f"unknown command {name!r}; the control plane knows none")
