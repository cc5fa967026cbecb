"""Publishing fewer ticks: samples, moves, lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.events import Tick
from tapewire.providers.tick_filter import TickFilter, TickRules


def tick(price: float, token: str = "8765", exchange: str = "NSE_FO") -> Tick:
    return Tick("dhan", exchange, token, "NIFTY-I", price, 1, 10, None, 1_795_000_000_000, 0)


def passing(rules: TickRules, *prices: float) -> list[float | None]:
    return [one.last_price for one in TickFilter(rules).keep(map(tick, prices))]


class TestSampling:
    def test_the_first_and_then_every_third_passes(self) -> None:
        assert passing(TickRules(sample=3), 1, 2, 3, 4, 5, 6, 7) == [1, 4, 7]

    def test_each_instrument_has_its_own_count(self) -> None:
        published = TickFilter(TickRules(sample=2))
        same_token = [tick(1.0), tick(2.0, exchange="BSE_FO"), tick(3.0), tick(4.0)]
        assert [one.last_price for one in published.keep(same_token)] == [1.0, 2.0, 4.0]
        assert published.dropped == {"sampled": 1}


class TestMinimumChange:
    def test_small_steps_add_up_to_one_that_passes(self) -> None:
        assert passing(TickRules(min_change=0.1), 100.0, 100.05, 100.1, 100.15) == [100.0, 100.1]

    def test_a_move_of_exactly_the_least_passes_in_binary_too(self) -> None:
        assert passing(TickRules(min_change=0.05), 100.05, 100.10, 100.15) == [
            100.05,
            100.10,
            100.15,
        ]

    def test_a_fall_is_a_move(self) -> None:
        assert passing(TickRules(min_change=1.0), 100.0, 99.5, 99.0) == [100.0, 99.0]

    def test_it_is_counted(self) -> None:
        published = TickFilter(TickRules(min_change=1.0))
        published.keep([tick(100.0), tick(100.5), tick(102.0)])
        assert published.dropped == {"unmoved": 1}


class TestLists:
    @pytest.mark.parametrize("name", ["NSE_FO", "8765", "NSE_FO:8765"])
    def test_an_instrument_is_denied_by_any_of_its_names(self, name: str) -> None:
        published = TickFilter(TickRules(deny=frozenset({name})))
        assert published.keep([tick(1.0), tick(2.0)]) == []
        assert published.dropped == {"denied": 2}

    @pytest.mark.parametrize("name", ["NSE_FO", "8765", "NSE_FO:8765"])
    def test_only_what_is_allowed_passes(self, name: str) -> None:
        published = TickFilter(TickRules(allow=frozenset({name})))
        other = tick(2.0, token="1", exchange="BSE_EQ")
        assert published.keep([tick(1.0), other]) == [tick(1.0)]

    def test_the_same_token_elsewhere_is_another_instrument(self) -> None:
        published = TickFilter(TickRules(deny=frozenset({"NSE_FO:8765"})))
        elsewhere = tick(1.0, exchange="BSE_FO")
        assert published.keep([tick(1.0), elsewhere]) == [elsewhere]

    def test_what_is_on_both_lists_is_denied(self) -> None:
        rules = TickRules(allow=frozenset({"8765"}), deny=frozenset({"NSE_FO"}))
        assert passing(rules, 1.0) == []


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"min_change": -1.0}, {"min_change": "nan"}])
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, str]) -> None:
    numbers = {name: float(value) for name, value in wrong.items()}
    with pytest.raises(ValueError, match="TICK_FILTER_"):
        TickRules(**numbers)  # type: ignore[arg-type]


PRICES = st.lists(st.integers(1, 400).map(lambda paise: paise * 0.05), max_size=60)


@given(PRICES, st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.5]))
def test_without_lists_the_first_passes_and_nothing_goes_uncounted(
    prices: list[float], sample: int, min_change: float
) -> None:
    published = TickFilter(TickRules(sample=sample, min_change=min_change))
    kept = published.keep(map(tick, prices))
    assert [one.last_price for one in kept[:1]] == prices[:1]
    assert len(kept) + published.dropped.total() == len(prices)
    assert len(kept) <= -(-len(prices) // sample)


@given(PRICES)
def test_the_usual_rules_let_everything_pass(prices: list[float]) -> None:
    assert passing(TickRules(), *prices) == prices
