"""An instrument's price grid: prices are whole numbers of its tick, and print as such.

A price that travelled as float32 (23400.05 arrives as 23400.05078) belongs back on it.
"""

from decimal import Decimal
from math import isfinite
from typing import Final

MAX_DECIMALS: Final = 9
"""Decimals that a tick size may have; a finer one is noise of a float."""


class PriceGrid:
    """Round prices to the multiples of ``tick_size`` (0.05, 0.0025, 1).

    Raises ``ValueError`` for a tick size that is not a positive number of at most nine
    decimals. Above 2**23 ticks (419,430.40 at 0.05) float32 no longer tells
    neighbouring ticks apart: the nearest is taken.
    """

    __slots__ = ("_scale", "_step")

    def __init__(self, tick_size: float) -> None:
        exact = Decimal(repr(tick_size))
        if not exact.is_finite() or exact <= 0 or round(exact, MAX_DECIMALS) != exact:
            raise ValueError(
                f"tick size {tick_size!r}: expected a positive number of at most "
                f"{MAX_DECIMALS} decimals; correct the instrument's entry"
            )
        self._step, self._scale = exact.as_integer_ratio()

    def nearest(self, price: float) -> float:
        """The grid's price nearest to ``price``; what is not finite is returned as it is."""
        if not isfinite(price):
            return price
        return round(price * self._scale / self._step) * self._step / self._scale
