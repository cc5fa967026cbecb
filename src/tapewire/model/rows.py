"""The rows that clients read, as MessagePack arrays in the store.

A row's packed form is its fields in the order written here (``array_like``); its JSON
form is an object with these names. New fields are appended, never inserted.
"""

from typing import Any

import msgspec
from msgspec import Struct

from tapewire.model.markets import INDIA, minute_int


class QuoteRecord(Struct, array_like=True, gc=False):
    """The last state of one symbol (``components.md`` 4, *quote record*).

    Percents are 5.0 for 5 %, times ms UTC, None where a base is missing or zero.
    ``base_note`` says which price ``change_since_open`` starts from: ``official open``,
    ``first regular trade`` or ``first pre-market trade``. ``*_1m``, ``*_5m`` and ``*_15m``
    are over the last whole seconds up to the last cut. ``halted`` is None where nobody said.
    ``name`` is what people call an instrument whose symbol is a number (``RELIANCE`` for
    ``NSE_EQ:2885``), None where the symbol is the name.
    """

    symbol: str
    volume: int | float
    free_float: int | float | None
    accumulated_volume: int | float
    relative_volume: float | None
    official_open_price: float | None
    vwap: float | None
    open: float | None
    close: float | None
    high: float | None
    low: float | None
    aggregate_vwap: float | None
    average_size: float | None
    avg_volume: float | None
    prev_day_close: float | None
    prev_day_open: float | None
    prev_day_high: float | None
    prev_day_low: float | None
    prev_day_volume: int | float | None
    prev_day_vwap: float | None
    change: float | None
    pct_change: float | None
    change_since_open: float | None
    pct_change_since_open: float | None
    start_timestamp: int
    end_timestamp: int
    session: str
    day_high: float | None
    day_low: float | None
    base_note: str | None
    gap: bool
    relative_volume_tod: float | None = None
    pct_change_1m: float | None = None
    pct_change_5m: float | None = None
    pct_change_15m: float | None = None
    volume_1m: int | float = 0
    volume_5m: int | float = 0
    halted: bool | None = None
    news_at: int | None = None
    bid: float | None = None
    ask: float | None = None
    bid_size: int | float | None = None
    ask_size: int | float | None = None
    spread_pct: float | None = None
    name: str | None = None


class Candle(Struct, gc=False):
    """One candle; the store keeps it packed (``model/packed_candles.py``).

    ``closed`` when event time passed its end by the grace; ``revision`` counts amendments
    after that; ``gap`` when events are missing from it. ``estimated`` when its volume holds
    sizes of last trades: a broker's mode that sends no volume of the day leaves trades out.
    """

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int | float
    vwap: float | None
    trades: int
    closed: bool
    revision: int
    gap: bool
    estimated: bool = False


NOTIONAL_SCALE = 1_000_000


def vwap(notional: float, volume: float) -> float | None:
    """Price from a sum of price x size in millionths and a sum of sizes."""
    return notional / (volume * NOTIONAL_SCALE) if volume else None


class CandleView(Struct):
    """A candle as people and programs see it.

    ``minute_int`` is the start on India's clock (91500 is 09:15) of Indian candles, else None;
    ``estimated`` as in `Candle`.
    """

    symbol: str
    exchange: str
    interval: str
    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int | float
    vwap: float | None
    trades: int
    closed: bool
    revision: int
    gap: bool
    minute_int: int | None = None
    estimated: bool = False

    @classmethod
    def of(cls, candle: Candle, symbol: str, exchange: str, interval: str) -> "CandleView":
        """Name a stored candle's place."""
        return cls(
            symbol,
            exchange,
            interval,
            candle.start_ms,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.vwap,
            candle.trades,
            candle.closed,
            candle.revision,
            candle.gap,
            minute_int(candle.start_ms) if exchange == INDIA.exchange else None,
            candle.estimated,
        )


class Reference(Struct, array_like=True, gc=False):
    """Reference data of one symbol (MDC): what the day's quote records measure against.

    ``date`` is the trading date for which ``prev_day_*`` hold; ``name`` as in a quote record.
    """

    symbol: str
    date: str
    prev_day_open: float | None = None
    prev_day_high: float | None = None
    prev_day_low: float | None = None
    prev_day_close: float | None = None
    prev_day_volume: int | float | None = None
    prev_day_vwap: float | None = None
    avg_volume: float | None = None
    free_float: int | float | None = None
    name: str | None = None


class DailyRange(Struct, array_like=True, gc=False):
    """Highs and lows of one symbol's trading day, session by session.

    Times are ms UTC: the start of the second (with minute aggregates, minute) in which the
    price was first reached. ``session`` is the last one with an eligible print; ``day_*``
    are over its sessions. None where a session has no eligible print yet. ``gap`` when events
    are missing from the present session.
    """

    symbol: str
    session: str
    day_high: float | None
    day_high_ms: int | None
    day_low: float | None
    day_low_ms: int | None
    pre_high: float | None
    pre_high_ms: int | None
    pre_low: float | None
    pre_low_ms: int | None
    regular_high: float | None
    regular_high_ms: int | None
    regular_low: float | None
    regular_low_ms: int | None
    post_high: float | None
    post_high_ms: int | None
    post_low: float | None
    post_low_ms: int | None
    gap: bool


class RangeAlert(Struct, array_like=True, gc=False):
    """A high or low that was broken, or that a price runs towards.

    ``direction`` is ``high`` or ``low``; ``kind`` is ``break``, ``running_up`` or
    ``running_down``. ``price`` broke, or comes near, ``previous``; ``note`` says in words
    what that was. ``timestamp_ms`` is the start of the bar that did it.
    """

    symbol: str
    session: str
    direction: str
    kind: str
    price: float
    previous: float
    note: str
    timestamp_ms: int


class HaltState(Struct, array_like=True, gc=False):
    """Whether one symbol may trade, and between which prices (LULD).

    ``reason`` says why it is halted and ``since_ms`` since when, None while it is not.
    ``band_*`` are the last price bands, None outside their hours. ``limit_state`` is ``up``,
    ``down`` or ``both`` while quotes stand at a band. ``timestamp_ms`` is that of the last
    event that counted; ``gap`` when events are missing from the present session.
    """

    symbol: str
    halted: bool
    reason: str | None
    since_ms: int | None
    band_high: float | None
    band_low: float | None
    limit_state: str | None
    timestamp_ms: int
    gap: bool


class HaltEvent(Struct, array_like=True, gc=False):
    """A change of a symbol's halt or limit state.

    ``kind`` is ``halt``, ``extension``, ``resume``, ``limit_state_entered`` or
    ``limit_state_exited``; ``indicator`` is the provider's number for it.
    """

    symbol: str
    kind: str
    reason: str
    band_high: float | None
    band_low: float | None
    indicator: int
    timestamp_ms: int


class TopTrade(Struct, array_like=True, gc=False):
    """A line of a ranking of top trades: what one symbol traded in one window.

    Trades that count for volume only. ``value`` is the sum of price x size; ``largest_size``
    that of the largest single trade; ``acceleration`` the number of trades over that of the
    window of the same length before, None when nothing traded in it.
    """

    rank: int
    symbol: str
    trades: int
    volume: int | float
    value: float
    vwap: float | None
    average_size: float
    largest_size: int | float
    acceleration: float | None


class LargestPrint(Struct, array_like=True, gc=False):
    """One of the trading day's largest single trades by ``value`` (price x size)."""

    rank: int
    symbol: str
    value: float
    size: int | float
    price: float
    timestamp_ms: int
    conditions: tuple[int, ...]
    exchange: int
    sequence: int


class Sale(Struct, array_like=True, gc=False):
    """A line of a symbol's time and sales: one trade, whatever it counts for."""

    timestamp_ms: int
    price: float
    size: int | float
    conditions: tuple[int, ...]
    exchange: int
    sequence: int


class BestQuote(Struct, array_like=True, gc=False):
    """A symbol's national best bid and offer as of a cut; None where a side is missing."""

    symbol: str
    bid: float | None
    ask: float | None
    bid_size: int | float | None
    ask_size: int | float | None
    timestamp_ms: int


WATCHED = "watched"


class Fact(Struct, array_like=True, gc=False):
    """One thing that somebody else knows of a symbol: an idempotent upsert by (symbol, field).

    ``date`` is the trading date that it holds for, empty for one that holds on. Fields and
    their values: ``halted`` bool, ``news_at`` ms UTC, ``best_quote`` BestQuote,
    ``volume_curve`` the curve of the session ``date`` (``analyzers/volume_curves.py``),
    ``watched`` bool: somebody looks at the symbol's time and sales.
    """

    symbol: str
    field: str
    value: bool | int | BestQuote | bytes | None
    date: str = ""


class RawEvent(Struct, array_like=True, gc=False):
    """One event as it was decoded: ``event`` is its type, ``fields`` the rest by name."""

    stream: str
    event: str
    symbol: str
    timestamp_ms: int
    fields: dict[str, Any]


encode_row = msgspec.msgpack.Encoder().encode
decode_quote = msgspec.msgpack.Decoder(QuoteRecord).decode
decode_top_trades = msgspec.msgpack.Decoder(list[TopTrade]).decode
decode_prints = msgspec.msgpack.Decoder(list[LargestPrint]).decode
decode_sale = msgspec.msgpack.Decoder(Sale).decode
decode_range = msgspec.msgpack.Decoder(DailyRange).decode
decode_range_alert = msgspec.msgpack.Decoder(RangeAlert).decode
decode_halt_state = msgspec.msgpack.Decoder(HaltState).decode
decode_halt_event = msgspec.msgpack.Decoder(HaltEvent).decode
decode_best_quote = msgspec.msgpack.Decoder(BestQuote).decode
decode_reference = msgspec.msgpack.Decoder(Reference).decode
