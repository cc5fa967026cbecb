"""Whether rows carry ``gap``: while a session lasts into which a loss reaches."""

from tapewire.analyzers.quotes import session_start_ms
from tapewire.market.sessions import TradingDay


class GapMark:
    """What one part knows of its shard's losses. ``is_set`` is what its rows say now."""

    def __init__(self) -> None:
        self.is_set = False
        self._until_ms = -1

    def lose(self, to_ms: int) -> None:
        """Events up to ``to_ms`` never came."""
        self._until_ms = max(self._until_ms, to_ms)

    def stand(self, day: TradingDay, second_ms: int) -> bool:
        """Event time stands here; True when the mark has changed, and all rows with it."""
        marked = self._until_ms >= 0 and self._until_ms >= session_start_ms(day, second_ms)
        changed = marked is not self.is_set
        self.is_set = marked
        return changed
