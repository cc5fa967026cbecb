"""Ticks as brokers' connections give them, for tests of what comes after."""

from datetime import datetime
from zoneinfo import ZoneInfo

from tapewire.model.events import Tick

KOLKATA = ZoneInfo("Asia/Kolkata")
FRIDAY = "2026-11-20"


def ms(clock: str, date: str = FRIDAY) -> int:
    """Milliseconds UTC of a wall clock in India."""
    return round(
        datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=KOLKATA).timestamp() * 1e3
    )


OPEN_MS = ms("09:15")


def tick(
    price: float | None,
    volume: int | None,
    at: str | int = "09:15:01",
    *,
    exchange: str = "NSE_FO",
    token: str = "8765",
    flags: int = 0,
    broker: str = "upstox",
) -> Tick:
    t = at if isinstance(at, int) else ms(at)
    symbol = f"{exchange}-{token}"
    return Tick(
        broker, exchange, token, symbol, price, 75, volume, None, t, t * 1_000_000 + 7, flags
    )
