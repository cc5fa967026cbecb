"""What Fyers calls exchanges, and the topics under which it sends an instrument's updates.

A fyToken is four digits of exchange and segment, six of the expiry (YYMMDD, zeros for none)
and the exchange's number of the instrument. A topic is ``sf|nse_cm|2885``: kind, segment and
that number; of an index (``if``) the name that Fyers publishes. Source: the official client.
"""

from collections.abc import Mapping
from typing import Final

from tapewire.market.instruments import Instrument

SEGMENTS: Final[Mapping[str, str]] = {
    "NSE_EQ": "sf|nse_cm",
    "NSE_FO": "sf|nse_fo",
    "NSE_COM": "sf|nse_com",
    "NSE_INDEX": "if|nse_cm",
    "NCD_FO": "sf|cde_fo",
    "BSE_EQ": "sf|bse_cm",
    "BSE_FO": "sf|bse_fo",
    "BSE_INDEX": "if|bse_cm",
    "BCD_FO": "sf|bcs_fo",
    "MCX_FO": "sf|mcx_fo",
}
"""The first two parts of a topic, by ``Instrument.exchange``."""

EXCHANGES: Final[Mapping[str, str]] = {
    "1010": "NSE_EQ",
    "1011": "NSE_FO",
    "1012": "NCD_FO",
    "1020": "NSE_COM",
    "1120": "MCX_FO",
    "1210": "BSE_EQ",
    "1211": "BSE_FO",
    "1212": "BCD_FO",
}
"""``Instrument.exchange`` by the first four digits of a fyToken."""

INDEX_EXCHANGES: Final[Mapping[str, str]] = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX"}
"""``Instrument.exchange`` of indices, by the exchange in their ticker."""


def topic_of(instrument: Instrument) -> str:
    """The topic of an instrument's updates.

    Raises ``ValueError`` for an exchange that Fyers does not have.
    """
    segment = SEGMENTS.get(instrument.exchange)
    if segment is None:
        raise ValueError(
            f"{instrument.key}: Fyers has no exchange {instrument.exchange!r}; it has "
            f"{', '.join(SEGMENTS)}"
        )
    is_index = segment.startswith("if")
    return f"{segment}|{instrument.token.replace('_', ' ') if is_index else instrument.token}"
