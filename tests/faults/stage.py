"""A replay over RabbitMQ that is being disturbed while it runs.

A kill is proved to find batches that the processor had taken and not acknowledged: it is
frozen first, the broker is asked, and only then it dies.
"""

import os
import signal
import time
from typing import Final, NamedTuple

from tests.faults.processes import frozen, processors_of
from tests.replays import Running, Stored, wait_for
from tests.servers import RabbitServer

IN_A_FLUSH_S: Final = 0.25
"""A processor flushes every 100 ms: after this long it waits for an answer."""


class Kill(NamedTuple):
    """One kill: what had been flushed, and what the broker had waiting for acknowledgement."""

    applied: int
    unacknowledged: int


class Stage:
    """One replay over RabbitMQ that is being disturbed."""

    def __init__(self, replay: Running, stored: Stored, broker: RabbitServer, vhost: str) -> None:
        self.replay = replay
        self.stored = stored
        self._broker = broker
        self._vhost = vhost
        self._killed: set[int] = set()

    def applied(self, *shards: str) -> int:
        """Events up to which the stored result stands."""
        return sum(shard.applied for shard in self.stored.progress(*shards))

    def lost(self, *shards: str) -> int:
        """Events that are known to be lost."""
        return sum(shard.totals.lost for shard in self.stored.progress(*shards))

    def unacknowledged(self, queue: str) -> int:
        """Batches that a consumer of this queue has and has not acknowledged."""
        found = self._broker.queue_info(self._vhost)
        return sum(q.unacknowledged for name, q in found.items() if name.endswith(queue))

    def processor(self, index: int) -> int:
        """Process id of a processor that has not been killed."""
        found: int = wait_for(lambda: self._living(index), f"processor {index}")
        return found

    def _living(self, index: int) -> int | None:
        pid = processors_of(self.replay.pid).get(index)
        return None if pid in self._killed else pid

    def _stands_at(self, place: int, shards: tuple[str, ...]) -> bool:
        """Whether so many events are applied; fails the test when the replay has ended."""
        assert self.replay.runs, self.replay.end().stderr
        return self.applied(*shards) >= place

    def kill(self, index: int, queue: str, place: int, *shards: str) -> Kill:
        """Kill a processor once so many events are applied, with unacknowledged batches."""
        kill: Kill = wait_for(lambda: self._try_to_kill(index, queue, place, shards), "a kill", 60)
        return kill

    def _try_to_kill(
        self, index: int, queue: str, place: int, shards: tuple[str, ...]
    ) -> Kill | None:
        if not self._stands_at(place, shards):
            return None
        pid = self.processor(index)
        with frozen(pid):
            kill = Kill(self.applied(*shards), self.unacknowledged(queue))
            if not kill.unacknowledged:
                return None
            os.kill(pid, signal.SIGKILL)
            self._killed.add(pid)
        return kill

    def kill_in_a_flush(self, index: int, queue: str, place: int, redis: int, *shards: str) -> Kill:
        """Kill a processor whose flush the store (a process id) has and has not answered.

        The store applies it when it runs again, though its batches were not acknowledged: they
        come a second time.
        """
        wait_for(lambda: self._stands_at(place, shards), f"{place} events")
        pid = self.processor(index)
        with frozen(redis):
            time.sleep(IN_A_FLUSH_S)
            with frozen(pid):
                unacknowledged = self.unacknowledged(queue)
                os.kill(pid, signal.SIGKILL)
            self._killed.add(pid)
        return Kill(self.applied(*shards), unacknowledged)

    def freeze(self, index: int, place: int, seconds: float, *shards: str) -> None:
        """Freeze a processor for a while once so many events are applied."""
        wait_for(lambda: self._stands_at(place, shards), f"{place} events")
        with frozen(self.processor(index)):
            time.sleep(seconds)
