"""Topics of instruments."""

import pytest

from tapewire.market.instruments import EXCHANGES, Instrument
from tapewire.providers.fyers import segments
from tests.providers.fyers.session import NIFTY, RELIANCE


def test_an_instrument_has_a_topic_of_its_segment_and_number() -> None:
    assert segments.topic_of(RELIANCE) == "sf|nse_cm|2885"


def test_an_index_has_a_topic_of_its_name() -> None:
    assert segments.topic_of(NIFTY) == "if|nse_cm|Nifty 50"


def test_every_exchange_here_is_one_of_the_common_names() -> None:
    assert set(segments.SEGMENTS) == set(EXCHANGES)
    assert set(segments.EXCHANGES.values()) | set(segments.INDEX_EXCHANGES.values()) == set(
        EXCHANGES
    )


def test_an_exchange_that_fyers_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="NYSE:1: Fyers has no exchange 'NYSE'"):
        segments.topic_of(Instrument(exchange="NYSE", token="1", symbol="X"))
