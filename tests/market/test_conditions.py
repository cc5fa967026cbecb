"""Trade conditions: the provider's table row by row, LEAN's rule, and the memo."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.market.conditions import (
    EFFECTS,
    RULES,
    ConditionTable,
    Effect,
    EffectMemo,
    effects,
    regular_effects,
    unknown,
)

V, HL, OC, OPENING = (int(bit) for bit in Effect)
OPENING_PRINTS = {17, 25}
TABLE = {
    HL + OC + V: "0 1 3 4 6 8 9 11 14 17 18 19 23 24 25 27 28 30 31 34 35 36 41 55",
    HL + V: "5 10 22 32 33",
    V: "2 7 12 13 20 21 29 37 52 53",
    0: "15 16",
    HL + OC: "38",
}
EXPECTED = {int(id_): bits for bits, ids in TABLE.items() for id_ in ids.split()}

known = st.sampled_from(sorted(EXPECTED))
any_id = st.integers(0, 255)
combinations = st.lists(any_id, max_size=5).map(tuple)


def test_bits_are_those_that_hot_code_writes_out() -> None:
    assert (V, HL, OC, OPENING) == (1, 2, 4, 8)


def test_the_table_has_every_row_and_no_other() -> None:
    assert dict(EFFECTS) == EXPECTED


@pytest.mark.parametrize(("condition", "bits"), EXPECTED.items())
def test_each_condition_alone_in_the_regular_session(condition: int, bits: int) -> None:
    marker = OPENING if condition in OPENING_PRINTS else 0
    assert effects((condition,), regular_session=True) == bits + marker


@pytest.mark.parametrize(("condition", "bits"), EXPECTED.items())
def test_each_condition_alone_in_extended_hours(condition: int, bits: int) -> None:
    marker = OPENING if condition in OPENING_PRINTS else 0
    expected = V + HL + OC if condition in (12, 13) else bits
    assert effects((condition,), regular_session=False) == expected + marker


@pytest.mark.parametrize("first", EXPECTED)
@pytest.mark.parametrize("second", EXPECTED)
def test_of_two_conditions_any_no_wins(first: int, second: int) -> None:
    marker = OPENING if OPENING_PRINTS & {first, second} else 0
    together = effects((first, second), regular_session=True)
    assert together == EXPECTED[first] & EXPECTED[second] | marker


def test_a_trade_without_conditions_updates_everything() -> None:
    for regular_session in (True, False):
        assert effects((), regular_session=regular_session) == V + HL + OC
        assert regular_effects((), regular_session=regular_session) == V + HL + OC


def test_an_extended_hours_odd_lot_counts_in_volume_only() -> None:
    assert effects((12, 37), regular_session=False) == V
    assert effects((12, 14, 41), regular_session=False) == V + HL + OC


def test_unknown_ids_forbid_nothing_and_can_be_counted() -> None:
    assert effects((200,), regular_session=True) == V + HL + OC
    assert effects((200, 37), regular_session=True) == V
    assert unknown((14, 200, 41, 62)) == (200, 62)
    assert unknown((14, 41)) == ()


@given(combinations, any_id, st.booleans())
def test_adding_a_condition_never_adds_an_effect(
    conditions: tuple[int, ...], condition: int, regular_session: bool
) -> None:
    before = effects(conditions, regular_session=regular_session)
    after = effects((*conditions, condition), regular_session=regular_session)
    assert after & ~OPENING & ~before == 0


@given(combinations)
def test_extended_hours_forbid_no_more_than_the_regular_session(
    conditions: tuple[int, ...],
) -> None:
    regular = effects(conditions, regular_session=True)
    assert regular & ~effects(conditions, regular_session=False) == 0


@given(combinations, st.randoms(use_true_random=False), st.sampled_from(sorted(RULES)))
def test_order_and_repetition_do_not_matter(
    conditions: tuple[int, ...], random: Random, rule: str
) -> None:
    shuffled = [*conditions, *conditions]
    random.shuffle(shuffled)
    for regular_session in (True, False):
        once = RULES[rule](conditions, regular_session=regular_session)
        assert RULES[rule](tuple(shuffled), regular_session=regular_session) == once


@given(combinations, st.booleans(), st.sampled_from(sorted(RULES)))
def test_the_opening_marker_says_that_17_or_25_is_there(
    conditions: tuple[int, ...], regular_session: bool, rule: str
) -> None:
    bits = RULES[rule](conditions, regular_session=regular_session)
    assert bool(bits & OPENING) == bool(OPENING_PRINTS & set(conditions))


@given(combinations, st.booleans())
def test_leans_rule_as_stated(conditions: tuple[int, ...], regular_session: bool) -> None:
    bits = regular_effects(conditions, regular_session=regular_session)
    has_price = conditions == () or 0 in conditions
    assert bool(bits & HL) == bool(bits & OC) == has_price
    assert bool(bits & V) == (not {8, 17, 18, 19, 25, 28} & set(conditions))


@given(combinations, st.sampled_from(sorted(RULES)))
def test_a_table_answers_as_its_rule_does(conditions: tuple[int, ...], name: str) -> None:
    table = ConditionTable.named(name)
    rule = RULES[name]
    for _ in range(2):
        assert table.regular[conditions] == rule(conditions, regular_session=True)
        assert table.extended[conditions] == rule(conditions, regular_session=False)


def test_massive_is_the_default_rule() -> None:
    assert ConditionTable.named().name == "massive"
    assert ConditionTable.named().regular[(14,)] == V + HL + OC
    assert ConditionTable.named("regular").regular[(14,)] == V


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'lean'.*massive, regular"):
        ConditionTable.named("lean")


def test_a_full_memo_is_emptied_and_goes_on_answering() -> None:
    memo = EffectMemo(sum, max_entries=3)
    for number in range(8):
        assert memo[(number, 1)] == number + 1
        assert len(memo) <= 3
    assert memo.resets == 2
    with pytest.raises(ValueError, match="expected 1 or more"):
        EffectMemo(sum, max_entries=0)


def test_the_memo_computes_a_combination_once() -> None:
    asked: list[tuple[int, ...]] = []

    def rule(conditions: tuple[int, ...]) -> int:
        asked.append(conditions)
        return V

    memo = EffectMemo(rule)
    assert [memo[(14,)], memo[(14,)], memo[()]] == [V, V, V]
    assert asked == [(14,), ()]
    assert type(memo[(14,)]) is int
