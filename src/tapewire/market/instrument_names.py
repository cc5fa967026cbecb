"""What people call instruments, and which instrument of a master they mean.

A name is a join key (``NSE_FO:8765``), a trading symbol (``RELIANCE``), or one that moves with
the calendar (``NIFTY-I``, ``NIFTY-W1-24000-CE``). Any but the first may follow an exchange:
``NSE_EQ:RELIANCE``, ``MCX_FO:GOLD-I``. Brokers spell the symbols of derivatives differently, so
``NIFTY26NOVFUT`` and ``NIFTY26NOV24000CE`` are also understood by their parts.

Errors::

    InstrumentNameError (ValueError)
    ├── UnknownName     nothing in the master is called so
    └── AmbiguousName   several are, on exchanges that do not stand for one another
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeAlias

from tapewire.market.instruments import EXCHANGES, Instrument, InstrumentKind

MAX_NEAR: Final = 3
"""Near names that an error offers."""

_MONTHS: Final[Mapping[str, str]] = {
    "JAN": "01",
    "FEB": "02",
    "MAR": "03",
    "APR": "04",
    "MAY": "05",
    "JUN": "06",
    "JUL": "07",
    "AUG": "08",
    "SEP": "09",
    "OCT": "10",
    "NOV": "11",
    "DEC": "12",
}
_FURTHER: Final = {"I": 0, "II": 1, "III": 2}
_FIRST: Final[Mapping[str, str]] = {
    "BSE_EQ": "NSE_EQ",
    "BSE_FO": "NSE_FO",
    "BSE_INDEX": "NSE_INDEX",
    "BCD_FO": "NCD_FO",
}
"""Where a name without an exchange is listed on both, NSE's is meant."""

_OPTION: Final = r"(?P<strike>\d+(?:\.\d+)?){}(?P<kind>CE|PE)"
_ROLLING_FUTURE: Final = re.compile(r"(?P<of>.+)-(?P<nth>I{1,3})")
_ROLLING_OPTION: Final = re.compile(
    rf"(?P<of>.+)-(?P<cycle>[WM])(?P<nth>[1-9]\d?)-{_OPTION.format('-')}"
)
_DATED: Final = re.compile(
    rf"(?P<of>.+?)(?P<year>\d\d)(?P<month>{'|'.join(_MONTHS)})(?:FUT|{_OPTION.format('')})"
)


_Parts: TypeAlias = re.Match[str]
_FUTURES: Final = (InstrumentKind.FUTURE,)
_OPTIONS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)


class InstrumentNameError(ValueError):
    """Base of this module's errors; the text says what was seen and what is near."""


class UnknownName(InstrumentNameError):  # noqa: N818 - it says what happened
    """Nothing in the master is called so."""


class AmbiguousName(InstrumentNameError):  # noqa: N818 - it says what happened
    """Several instruments are called so."""


def read_names(text: str) -> list[str]:
    """Names of ``BROKER_INSTRUMENTS`` or of its file: by commas or lines, each once.

    What follows a ``#`` is a comment.
    """
    lines = (line.partition("#")[0] for line in text.splitlines())
    names = (name.strip() for line in lines for name in line.split(","))
    return list(dict.fromkeys(name for name in names if name))


class InstrumentBook:
    """One broker's instruments, found by whatever people call them.

    Names are taken in any case. Dates are ISO dates of the market's own days.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_key: dict[str, Instrument] = {}
        self._by_symbol: defaultdict[str, list[Instrument]] = defaultdict(list)
        self._derived: defaultdict[str, list[Instrument]] = defaultdict(list)
        for one in instruments:
            self._by_key[one.key] = one
            self._by_symbol[one.symbol.upper()].append(one)
            if one.expiry:
                self._derived[one.underlying.upper()].append(one)
        self._rules: Sequence[tuple[re.Pattern[str], Callable[..., Instrument]]] = (
            (_ROLLING_FUTURE, self._rolling_future),
            (_ROLLING_OPTION, self._rolling_option),
            (_DATED, self._dated),
        )

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> Instrument | None:
        """The instrument of a join key; None when this broker does not have it."""
        return self._by_key.get(key)

    def find(self, name: str, date: str) -> Instrument:
        """The instrument that ``name`` means on ``date``.

        ``-I`` to ``-III`` are the nearest, next and far month's future, ``-W1-`` the nearest
        expiry of options (the month's last one among them), ``-M1-`` the nearest month's
        last. A contract is the nearest one up to and on the day it expires. Raises
        `InstrumentNameError`.
        """
        known = self._by_key.get(name.strip())
        if known is not None:
            return known
        exchange, rest = _split(name)
        symbols = [one for one in self._by_symbol.get(rest, ()) if exchange in ("", one.exchange)]
        if symbols:
            return _only(name, symbols)
        for pattern, resolve in self._rules:
            parts = pattern.fullmatch(rest)
            if parts is not None and self._derived.get(parts["of"]):
                return resolve(name, exchange, date, parts)
        raise self._unknown(name, exchange, rest)

    # -- names with parts

    def _rolling_future(self, name: str, exchange: str, date: str, parts: _Parts) -> Instrument:
        futures = self._of(name, exchange, parts["of"], _FUTURES)
        expiry = _nth(name, date, _monthly(_from(date, futures)), _FURTHER[parts["nth"]])
        return _only(name, [one for one in futures if one.expiry == expiry])

    def _rolling_option(self, name: str, exchange: str, date: str, parts: _Parts) -> Instrument:
        options = self._of(name, exchange, parts["of"], _OPTIONS)
        expiries = _from(date, options)
        if parts["cycle"] == "M":
            expiries = _monthly(expiries)
        return _struck(name, options, _nth(name, date, expiries, int(parts["nth"]) - 1), parts)

    def _dated(self, name: str, exchange: str, _: str, parts: _Parts) -> Instrument:
        """A month's last contract, expired or not."""
        listed = self._of(name, exchange, parts["of"], _OPTIONS if parts["kind"] else _FUTURES)
        month = f"20{parts['year']}-{_MONTHS[parts['month']]}"
        expiries = [expiry for expiry in _from("", listed) if expiry.startswith(month)]
        expiry = _nth(name, month, _monthly(expiries), 0)
        if parts["kind"]:
            return _struck(name, listed, expiry, parts)
        return _only(name, [one for one in listed if one.expiry == expiry])

    def _of(
        self, name: str, exchange: str, underlying: str, kinds: Sequence[InstrumentKind]
    ) -> list[Instrument]:
        """An underlying's contracts of some kinds, on one exchange."""
        listed = [
            one
            for one in self._derived[underlying]
            if one.kind in kinds and exchange in ("", one.exchange)
        ]
        exchanges = {one.exchange for one in listed}
        meant = {one for one in exchanges if _FIRST.get(one) not in exchanges}
        if len(meant) > 1:
            raise _ambiguous(name, sorted(f"{one}:{underlying}" for one in meant))
        if not listed:
            raise UnknownName(
                f"instrument {name!r}: {underlying} has no {' or '.join(kinds)} "
                f"{f'on {exchange}' if exchange else 'in this master'}"
            )
        return [one for one in listed if one.exchange in meant]

    def _unknown(self, name: str, exchange: str, rest: str) -> UnknownName:
        near = self._near(exchange, rest)
        offer = f"; near: {', '.join(near)}" if near else ""
        return UnknownName(
            f"no instrument is called {name!r} among {len(self._by_key)}{offer}; expected a key "
            "(NSE_FO:8765), a trading symbol (RELIANCE, NSE_EQ:RELIANCE) or a name like NIFTY-I, "
            "NIFTY-W1-24000-CE"
        )

    def _near(self, exchange: str, rest: str) -> list[str]:
        """Symbols that look like it, among those that begin like it."""
        if not rest:
            return []
        for length in (2, 1):
            like = {
                symbol
                for symbol, listed in self._by_symbol.items()
                if symbol[:length] == rest[:length]
                and (not exchange or any(one.exchange == exchange for one in listed))
            }
            if like and (near := get_close_matches(rest, like | set(self._derived), MAX_NEAR)):
                return near
        return []


def _split(name: str) -> tuple[str, str]:
    """Exchange ("" where there is none) and the rest, in capitals."""
    before, colon, after = name.strip().upper().partition(":")
    if not colon:
        return "", before
    if before not in EXCHANGES:
        raise UnknownName(
            f"instrument {name!r}: exchange {before!r} is not known; "
            f"expected one of {', '.join(EXCHANGES)}"
        )
    return before, after.strip()


def _only(name: str, found: Sequence[Instrument]) -> Instrument:
    """The one that is meant: NSE's where BSE lists the same."""
    exchanges = {one.exchange for one in found}
    meant = [one for one in found if _FIRST.get(one.exchange) not in exchanges]
    if len(meant) > 1:
        raise _ambiguous(name, [one.key for one in meant])
    return meant[0]


def _ambiguous(name: str, choices: Sequence[str]) -> AmbiguousName:
    shown = ", ".join(choices[:10])
    return AmbiguousName(f"instrument {name!r} may be any of {shown}; name the exchange or the key")


def _from(date: str, listed: Iterable[Instrument]) -> list[str]:
    """Expiries on or after a date, each once, the nearest first."""
    return sorted({one.expiry for one in listed if one.expiry >= date})


def _monthly(expiries: Iterable[str]) -> list[str]:
    """The last expiry of each month."""
    return list({expiry[:7]: expiry for expiry in expiries}.values())


def _nth(name: str, date: str, expiries: Sequence[str], n: int) -> str:
    if n >= len(expiries):
        seen = ", ".join(expiries) if expiries else "none"
        raise UnknownName(f"instrument {name!r}: expiries from {date} are {seen}")
    return expiries[n]


def _struck(name: str, options: Iterable[Instrument], expiry: str, parts: _Parts) -> Instrument:
    """The option of an expiry at a strike; the error offers the nearest strikes."""
    strike, kind = float(parts["strike"]), InstrumentKind(parts["kind"])
    listed = [one for one in options if one.expiry == expiry and one.kind is kind]
    struck = [one for one in listed if one.strike == strike]
    if not struck:
        near = sorted({one.strike for one in listed}, key=lambda one: abs(one - strike))
        offer = ", ".join(f"{one:g}" for one in sorted(near[:4]))
        raise UnknownName(
            f"instrument {name!r}: no {kind} at {strike:g} expires on {expiry}; near: {offer}"
        )
    return _only(name, struck)
