"""What a trade's conditions let it update: volume, high and low, open and close.

The table is Massive's ``/v3/reference/conditions`` for consolidated bars (massive.md, section 1.6,
snapshot of 2026-05-31). Two rules read conditions: ``massive``, the provider's own, and
``regular``, that of LEAN's minute bars. Hot code asks a `ConditionTable`, which computes each
combination of conditions once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntFlag
from functools import partial
from types import MappingProxyType
from typing import Final, Self


class Effect(IntFlag):
    """What a trade updates; `OPENING` marks the official opening print."""

    VOLUME = 1
    HIGH_LOW = 2
    OPEN_CLOSE = 4
    OPENING = 8


VOLUME: Final = int(Effect.VOLUME)
HIGH_LOW: Final = int(Effect.HIGH_LOW)
OPEN_CLOSE: Final = int(Effect.OPEN_CLOSE)
OPENING: Final = int(Effect.OPENING)
PRICES: Final = HIGH_LOW | OPEN_CLOSE
ALL: Final = VOLUME | PRICES

Conditions = tuple[int, ...]

_FULLY_ELIGIBLE: Final[Conditions] = (
    *(0, 1, 3, 4, 6, 8, 9, 11, 14, 17, 18, 19, 23, 24, 25),
    *(27, 28, 30, 31, 34, 35, 36, 41, 55),
)
_IDS_BY_EFFECT: Final[tuple[tuple[int, Conditions], ...]] = (
    (ALL, _FULLY_ELIGIBLE),
    (HIGH_LOW | VOLUME, (5, 10, 22, 32, 33)),
    (VOLUME, (2, 7, 12, 13, 20, 21, 29, 37, 52, 53)),
    (0, (15, 16)),
    (PRICES, (38,)),
)
_REGULAR_SESSION: Final = {id_: effect for effect, ids in _IDS_BY_EFFECT for id_ in ids}
_EXTENDED_HOURS: Final = _REGULAR_SESSION | {12: ALL, 13: ALL}

EFFECTS: Final[Mapping[int, int]] = MappingProxyType(_REGULAR_SESSION)
"""Condition id → effect bits in the regular session."""

OPENING_CONDITIONS: Final = frozenset({17, 25})
"""Market centre opening (tapes A, B) and opening prints (tape C)."""

AUCTION_CONDITIONS: Final = frozenset({8, 17, 18, 19, 25, 28})
"""Opening, reopening and closing prints, which LEAN keeps out of a bar's volume."""


def effects(conditions: Conditions, *, regular_session: bool) -> int:
    """Return the `Effect` bits of a trade under Massive's rule, as an int.

    All conditions count together and any "no" wins. 12 (form T) and 13 (extended hours, out of
    sequence) are fully eligible outside the regular session, volume-only inside it. An id that
    the table lacks forbids nothing; `unknown` names such ids for the caller to count.
    """
    table = _REGULAR_SESSION if regular_session else _EXTENDED_HOURS
    bits = ALL
    for condition in conditions:
        bits &= table.get(condition, ALL)
    return bits | _opening(conditions)


def regular_effects(conditions: Conditions, *, regular_session: bool) -> int:
    """Return the `Effect` bits of a trade under LEAN's rule, as an int.

    Prices come from trades with no condition or with 0 among them, volume from trades without
    an auction's condition (components.md, section 4); ``regular_session`` makes no difference.
    """
    prices = PRICES if not conditions or 0 in conditions else 0
    volume = VOLUME if AUCTION_CONDITIONS.isdisjoint(conditions) else 0
    return prices | volume | _opening(conditions)


def unknown(conditions: Conditions) -> Conditions:
    """Return the ids that the table lacks, in their order."""
    return tuple(condition for condition in conditions if condition not in _REGULAR_SESSION)


def _opening(conditions: Conditions) -> int:
    return 0 if OPENING_CONDITIONS.isdisjoint(conditions) else OPENING


class EffectMemo(dict[Conditions, int]):
    """Conditions → `Effect` bits, computed by a rule at the first look-up of each combination.

    Holds at most ``max_entries`` combinations (the real tape shows a few hundred); a feed that
    brings more has the memo emptied and pays for computing again. ``resets`` counts that.
    """

    __slots__ = ("_max_entries", "_rule", "resets")

    def __init__(self, rule: Callable[[Conditions], int], max_entries: int = 65_536) -> None:
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}; expected 1 or more")
        super().__init__()
        self._rule = rule
        self._max_entries = max_entries
        self.resets = 0

    def __missing__(self, conditions: Conditions) -> int:
        if len(self) >= self._max_entries:
            self.clear()
            self.resets += 1
        bits = self[conditions] = self._rule(conditions)
        return bits


RULES: Final[Mapping[str, Callable[..., int]]] = MappingProxyType(
    {"massive": effects, "regular": regular_effects}
)
"""Rules by the names that ``CANDLE_CONDITIONS`` and ``--conditions`` take."""


class ConditionTable:
    """One rule's effects, memoised: ``table.regular[conditions]``, ``table.extended[conditions]``.

    ``regular`` is for trades in the regular session, ``extended`` for all others. Keys are
    tuples of condition ids, ``()`` for a trade without any; values are `Effect` bits as ints.
    """

    __slots__ = ("extended", "name", "regular")

    def __init__(self, name: str, rule: Callable[..., int], max_entries: int = 65_536) -> None:
        self.name = name
        self.regular = EffectMemo(partial(rule, regular_session=True), max_entries)
        self.extended = EffectMemo(partial(rule, regular_session=False), max_entries)

    @classmethod
    def named(cls, name: str = "massive") -> Self:
        """Return a table of the rule ``massive`` or ``regular``; ValueError for another name."""
        rule = RULES.get(name)
        if rule is None:
            raise ValueError(f"no condition rule {name!r}; expected one of: {', '.join(RULES)}")
        return cls(name, rule)
