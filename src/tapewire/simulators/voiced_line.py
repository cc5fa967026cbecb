"""One client of a simulated broker: its socket, and the broker's voice on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from websockets.asyncio.server import ServerConnection

from tapewire.simulators.broker_voice import Messages, Voice
from tapewire.simulators.line import Line
from tapewire.simulators.statistics import Statistics


class VoicedLine(Line):
    """A client from the upgrade to its end."""

    def __init__(
        self, socket: ServerConnection, voice: Voice, max_bytes: int, statistics: Statistics
    ) -> None:
        super().__init__(socket, max_bytes, statistics, is_text=None)
        self.voice = voice

    async def messages(self) -> AsyncIterator[bytes | str]:
        """What the client sends, until the connection ends."""
        async for message in self._socket:
            yield message

    @property
    def listening(self) -> bool:
        """Whether ticks are to be sent to it."""
        return self.voice.listening and not self.closing

    def ended(self) -> None:
        """The connection is over."""
        self.voice.closed()

    def say(self, messages: Messages) -> None:
        """Send messages, and close behind them if the voice wants to."""
        for message in messages:
            self.put(message)
        if self.voice.close_code is not None and not self.closing:
            self.close(self.voice.close_code)

    def disconnect(self, reason: int) -> None:
        """End the connection as the broker does, for a reason of its own."""
        self.say(self.voice.disconnect(reason))
        if not self.closing:
            self.close(1000)
