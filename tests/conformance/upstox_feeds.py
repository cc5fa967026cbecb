"""Feeds of every shape in protobuf's JSON form, and what such a message says as ticks."""

from collections.abc import Iterator, Mapping
from math import inf
from random import Random
from typing import Any

from tapewire.market.instruments import Instrument, InstrumentKind
from tapewire.model.events import TICK_INDEX, TICK_SNAPSHOT, Tick

TRADE_MS = 1_795_146_300_000
RECEIVED_NS = 7

INSTRUMENTS = {
    each.broker_key: each
    for number in range(10)
    for each in [
        Instrument(
            exchange="NSE_INDEX" if number > 7 else "NSE_FO",
            token=f"{number}{number}{number}",
            symbol=f"S{number}",
            kind=InstrumentKind.INDEX if number > 7 else InstrumentKind.FUTURE,
            broker_key=f"{'NSE_INDEX' if number > 7 else 'NSE_FO'}|{number}{number}{number}",
        )
    ]
}

Message = dict[str, Any]


class Feeds:
    """Messages drawn from a seed; any field may be absent, as zeros are on the wire."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def message(self) -> Message:
        """A ``FeedResponse`` with some of the instruments."""
        keys = self._random.sample(sorted(INSTRUMENTS), self._random.randint(0, 5))
        return {
            "type": self._random.choice(["initial_feed", "live_feed", "live_feed"]),
            "feeds": {key: self._feed(INSTRUMENTS[key].kind) for key in keys},
            "currentTs": str(TRADE_MS),
        }

    def _feed(self, kind: InstrumentKind) -> Message:
        if kind is InstrumentKind.INDEX:
            full: Message = {
                "indexFF": self._some({"ltpc": self._ltpc(), "marketOHLC": self._ohlc()})
            }
            return self._random.choice([{"ltpc": self._ltpc()}, {"fullFeed": full}])
        forms: list[Message] = [
            {"ltpc": self._ltpc()},
            {"fullFeed": {"marketFF": self._market()}, "requestMode": "full_d5"},
            {"fullFeed": {"marketFF": self._market()}, "requestMode": "full_d30"},
            {"firstLevelWithGreeks": self._greeks_form(), "requestMode": "option_greeks"},
        ]
        return self._random.choice(forms)

    def _ltpc(self) -> Message:
        last = {
            "ltp": self._price(),
            "ltt": str(TRADE_MS + self._random.randrange(10**7)),
            "ltq": self._count(),
            "cp": self._price(),
            "iep": self._price(),
        }
        return self._some(last)

    def _market(self) -> Message:
        levels = [self._quote() for _ in range(self._random.choice([0, 1, 5, 30]))]
        market = {
            "ltpc": self._ltpc(),
            "marketLevel": {"bidAskQuote": levels},
            "optionGreeks": self._greeks(),
            "marketOHLC": self._ohlc(),
            "atp": self._price(),
            "vtt": self._count(),
            "oi": float(self._random.randrange(10**9)),
            "iv": self._random.random(),
            "tbq": float(self._random.randrange(10**7)),
            "tsq": float(self._random.randrange(10**7)),
            "iep": self._price(),
            "rp": self._price(),
            "ieq": self._count(),
            "iiqTotal": self._count(),
            "iiqM": self._count(),
            "casEligible": True,
        }
        return self._some(market)

    def _greeks_form(self) -> Message:
        return self._some(
            {
                "ltpc": self._ltpc(),
                "firstDepth": self._quote(),
                "optionGreeks": self._greeks(),
                "vtt": self._count(),
                "oi": float(self._random.randrange(10**9)),
                "iv": self._random.random(),
            }
        )

    def _quote(self) -> Message:
        bid, ask = {"bidQ": self._count(), "bidP": self._price()}, {"askQ": self._count()}
        return self._some({**bid, **ask, "askP": self._price()})

    def _greeks(self) -> Message:
        names = ("delta", "theta", "gamma", "vega", "rho")
        return self._some({name: self._random.uniform(-20, 20) for name in names})

    def _ohlc(self) -> Message:
        candle = {
            "interval": self._random.choice(["1d", "I1"]),
            **{name: self._price() for name in ("open", "high", "low", "close")},
            "vol": self._count(),
            "ts": str(TRADE_MS),
        }
        return {"ohlc": [candle] * self._random.randint(0, 2)}

    def _some(self, fields: Message) -> Message:
        """All fields, as is usual, or each as likely as not."""
        if self._random.random() < 0.7:
            return fields
        return {name: value for name, value in fields.items() if self._random.random() < 0.5}

    def _price(self) -> float:
        return self._random.choice(
            [
                round(self._random.uniform(0.05, 90_000), 2),
                round(self._random.uniform(0.05, 90), 4),
                self._random.uniform(1, 1e9),
            ]
        )

    def _count(self) -> str:
        return str(self._random.randrange(1 << self._random.choice([7, 14, 21, 35, 62])))


def ticks_of(message: Mapping[str, Any]) -> dict[str, Tick]:
    """The ticks, by instrument key, of a message in protobuf's JSON form."""
    return dict(_ticks_of(message))


def _ticks_of(message: Mapping[str, Any]) -> Iterator[tuple[str, Tick]]:
    snapshot = 0 if message.get("type") == "live_feed" else TICK_SNAPSHOT
    for key, feed in message.get("feeds", {}).items():
        instrument = INSTRUMENTS.get(key)
        last, totals = _last_and_totals(feed)
        price = float(last.get("ltp", 0.0))
        volume = interest = None
        if totals is not None:
            volume, interest = int(totals.get("vtt", 0)), float(totals.get("oi", 0.0))
        if instrument is None or not -inf < price < inf or not price:
            continue
        if interest is not None and not -inf < interest < inf:
            continue
        yield (
            key,
            Tick(
                broker="upstox",
                exchange=instrument.exchange,
                token=instrument.token,
                symbol=instrument.symbol,
                last_price=price,
                last_size=int(last.get("ltq", 0)),
                day_volume=volume,
                open_interest=None if interest is None else int(interest),
                timestamp_ms=int(last.get("ltt", 0)),
                received_ns=RECEIVED_NS,
                flags=snapshot | TICK_INDEX * (instrument.kind is InstrumentKind.INDEX),
            ),
        )


def _last_and_totals(feed: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Where the last trade is, and where volume and open interest are (None: nowhere)."""
    if "fullFeed" in feed:
        full = feed["fullFeed"]
        if "indexFF" in full:
            return full["indexFF"].get("ltpc", {}), None
        market = full.get("marketFF", {})
        return market.get("ltpc", {}), market
    greeks = feed.get("firstLevelWithGreeks")
    if greeks is not None:
        return greeks.get("ltpc", {}), greeks
    return feed.get("ltpc", {}), None
