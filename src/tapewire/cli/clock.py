"""What time it is, and the exchange whose hours count: cheap to import, for every command."""

from datetime import UTC, datetime
from typing import Final

EXCHANGE: Final = "XNYS"


def wall_ms() -> int:
    """UTC milliseconds now."""
    return int(datetime.now(UTC).timestamp() * 1000)
