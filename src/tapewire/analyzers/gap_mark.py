"""Rows that carry ``gap``: all of a part's, while a session lasts into which a loss reaches."""

from tapewire.market.sessions import TradingDay


class GapMarked:
    """Where event time stands for a part, and whether its rows carry the mark (``_gap``)."""

    def __init__(self) -> None:
        self._day: TradingDay | None = None
        self._second_ms = -1
        self._gap = False
        self._lost_until_ms = -1

    def gap(self, from_ms: int, to_ms: int) -> None:
        """Events between these times never came."""
        self._lost_until_ms = max(self._lost_until_ms, to_ms)
        self._show_gap()

    def _stand(self, second_ms: int, day: TradingDay) -> None:
        """Event time stands here now."""
        self._day, self._second_ms = day, second_ms
        if self._lost_until_ms >= 0:
            self._show_gap()

    def _show_gap(self) -> None:
        if self._day is None:
            return
        marked = self._lost_until_ms >= session_start_ms(self._day, self._second_ms)
        if marked is not self._gap:
            self._gap = marked
            self._touch_rows()

    def _touch_rows(self) -> None:
        """Every row has changed."""
        raise NotImplementedError


def session_start_ms(day: TradingDay, timestamp_ms: int) -> int:
    """When the session (or the closed time) of a moment in this trading day began."""
    bounds = (day.pre_ms, day.open_ms, day.close_ms, day.post_ms)
    return max((bound for bound in bounds if bound <= timestamp_ms), default=day.turn_ms)
