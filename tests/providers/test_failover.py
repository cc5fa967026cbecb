"""The machine that chooses the broker: its table, its decisions, and what always holds."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.providers.failover import (
    BECOMES,
    LISTENED_TO,
    RUNNING,
    Failover,
    FailoverLimits,
    News,
    Seen,
    Standing,
    Switch,
)

LIMITS = FailoverLimits(
    silence_s=10,
    unreachable_s=5,
    max_interruptions=2,
    window_s=100,
    prove_s=20,
    stable_s=30,
    settle_s=2,
    rest_s=60,
    longest_rest_s=200,
)
NAMES = ("upstox", "fyers", "dhan")


class Story:
    """Brokers over time: what each shows can be changed between seconds."""

    def __init__(self, *names: str, market_open: bool = True) -> None:
        self.machine = Failover(names or NAMES, LIMITS)
        self.now_s = 1000.0
        self.market_open = market_open
        self.well: dict[str, bool] = dict.fromkeys(names or NAMES, True)
        self.quiet: set[str] = set()
        self.ended: set[str] = set()
        self.lost: dict[str, int] = dict.fromkeys(names or NAMES, 0)
        self.heard: dict[str, float] = {}
        self.made: list[Switch] = []
        self.step(0)

    def shown(self) -> Mapping[str, Seen]:
        """Whoever runs and is well is ready; who is not quiet has just been heard."""
        seen = {}
        for name in self.machine.running:
            ready = self.well[name] and name not in self.ended
            if ready and name not in self.quiet:
                self.heard[name] = self.now_s
            seen[name] = Seen(ready, self.heard.get(name), self.lost[name], name in self.ended)
        return seen

    def step(self, seconds: float = 1) -> list[Switch]:
        self.now_s += seconds
        made = self.machine.judge(self.now_s, self.shown(), market_open=self.market_open)
        self.made += made
        return made

    def run(self, seconds: int) -> list[Switch]:
        """One judgment a second; the switches that were made."""
        return [switch for _ in range(seconds) for switch in self.step()]

    def until(self, active: str | None, within: int = 1000) -> int:
        """Seconds until a broker is active."""
        for second in range(within):
            if self.machine.active == active:
                return second
            self.step()
        raise AssertionError(f"{active} is not active: {self.machine.standings}")


def switches(story: Story) -> list[tuple[str | None, str | None, str, bool]]:
    return [(one.source, one.target, one.reason, one.hole) for one in story.made]


def test_every_standing_can_be_reached_and_left() -> None:
    assert {standing for standing, _ in BECOMES} == set(Standing)
    assert set(BECOMES.values()) == set(Standing)
    assert {news for _, news in BECOMES} == set(News)


def test_only_what_runs_can_prove_itself_or_end() -> None:
    for (standing, news), after in BECOMES.items():
        if news in (News.PROVED, News.FAILED, News.ENDED, News.RELIEVED, News.NOT_NEEDED):
            assert standing in RUNNING
        if after in LISTENED_TO:
            assert standing in RUNNING or news is News.APPOINTED


def test_the_primary_is_listened_to_from_the_first_tick_on() -> None:
    story = Story()
    assert story.machine.running == ["upstox"]
    assert switches(story) == [(None, "upstox", "start", False)]
    assert story.run(1000) == []
    assert story.machine.standings == {
        "upstox": Standing.ACTIVE,
        "fyers": Standing.IDLE,
        "dhan": Standing.IDLE,
    }


def test_silence_while_the_market_is_open_moves_to_a_broker_that_is_heard() -> None:
    story = Story()
    story.run(100)
    story.quiet.add("upstox")
    silent_s = story.until("fyers")
    assert LIMITS.silence_s <= silent_s <= LIMITS.silence_s + 2
    assert switches(story)[1:] == [("upstox", "fyers", "silent", True)]
    assert story.machine.standings["upstox"] is Standing.RESTING


def test_a_closed_market_is_not_silent() -> None:
    story = Story(market_open=False)
    story.quiet.update(NAMES)
    assert story.run(1000) == []
    story.market_open = True
    assert story.run(int(LIMITS.silence_s) - 1) == []
    story.run(3)
    assert story.machine.standings["upstox"] is Standing.DOUBTED


def test_when_nobody_is_heard_the_market_is_quiet_and_nothing_changes() -> None:
    story = Story()
    story.run(100)
    story.quiet.update(NAMES)
    story.run(3000)
    assert switches(story) == [(None, "upstox", "start", False)]
    story.quiet.clear()
    story.run(1)
    assert story.machine.standings["upstox"] is Standing.ACTIVE


def test_one_that_is_heard_again_before_another_has_proved_itself_stays() -> None:
    story = Story()
    story.run(100)
    story.well["fyers"] = False
    story.quiet.add("upstox")
    story.run(12)
    assert story.machine.probed == "fyers"
    story.quiet.clear()
    story.run(2)
    assert story.machine.running == ["upstox"]
    assert story.machine.standings["fyers"] is Standing.IDLE


def test_one_that_is_unreachable_is_replaced_and_only_after_the_limit() -> None:
    story = Story()
    story.run(100)
    story.well["upstox"] = False
    story.run(int(LIMITS.unreachable_s) - 1)
    story.well["upstox"] = True
    assert story.run(50) == []
    story.well["upstox"] = False
    assert LIMITS.unreachable_s <= story.until("fyers") <= LIMITS.unreachable_s + 2
    assert switches(story)[1:] == [("upstox", "fyers", "unreachable", True)]


def test_a_beginning_may_take_longer_than_an_interruption() -> None:
    story = Story()
    story.machine = Failover(NAMES, LIMITS)
    story.well["upstox"] = False
    story.step()
    assert LIMITS.prove_s <= story.until("fyers") <= LIMITS.prove_s + 2


def test_too_many_interruptions_in_a_window_replace_one_that_works_without_a_hole() -> None:
    story = Story()
    for _ in range(2):
        story.lost["upstox"] += 1
        assert story.run(20) == []
    story.run(100)
    story.lost["upstox"] += 1  # the first two are out of the window
    assert story.run(30) == []
    story.lost["upstox"] += 2
    assert story.until("fyers") >= LIMITS.settle_s
    assert switches(story)[1:] == [("upstox", "fyers", "unsteady", False)]


def test_a_fatal_ending_moves_on_at_once_and_for_good() -> None:
    story = Story()
    story.run(10)
    story.ended.add("upstox")
    story.step()
    assert story.machine.active == "fyers"
    assert switches(story)[1:] == [("upstox", "fyers", "ended", True)]
    story.run(5000)
    assert story.machine.active == "fyers"
    assert story.machine.standings["upstox"] is Standing.ENDED


def test_somebody_may_say_that_an_ended_one_works_again() -> None:
    story = Story()
    story.ended.add("upstox")
    story.step()
    story.ended.clear()
    assert not story.machine.revive("dhan")
    assert not story.machine.revive("nobody")
    assert story.machine.revive("upstox")
    story.until("upstox")
    assert switches(story)[-1] == ("fyers", "upstox", "fail-back", False)


def test_when_all_have_ended_nobody_is_left() -> None:
    story = Story("upstox", "dhan")
    story.ended.update(("upstox", "dhan"))
    story.run(3)
    assert story.machine.active is None
    assert story.machine.exhausted
    assert switches(story)[-1] == ("dhan", None, "ended", True)
    story.ended.clear()
    story.machine.revive("dhan")
    story.step()
    assert switches(story)[-1] == (None, "dhan", "start", True)


def test_the_primary_comes_back_after_it_was_stable_beside_the_other() -> None:
    story = Story()
    story.run(100)
    story.well["upstox"] = False
    story.until("fyers")
    story.well["upstox"] = True
    waited_s = 0
    while story.machine.active == "fyers":
        waited_s += 1
        story.step()
        if story.machine.active == "fyers" and story.machine.probed:
            assert story.machine.running == ["upstox", "fyers"]
    assert waited_s >= LIMITS.rest_s + LIMITS.stable_s
    assert switches(story)[-1] == ("fyers", "upstox", "fail-back", False)
    assert story.machine.standings["fyers"] is Standing.IDLE


def test_a_primary_that_stays_ill_is_asked_less_and_less_often() -> None:
    story = Story()
    story.run(100)
    story.well["upstox"] = False
    story.until("fyers")
    probes = []
    for second in range(2000):
        before = story.machine.probed
        story.step()
        if before is None and story.machine.probed == "upstox":
            probes.append(second)
    waits = [after - before for before, after in pairwise(probes)]
    assert waits == sorted(waits)
    assert waits[-1] - LIMITS.prove_s == pytest.approx(LIMITS.longest_rest_s, abs=3)
    assert story.machine.active == "fyers"


def test_a_probed_one_that_is_not_heard_in_an_open_market_does_not_take_over() -> None:
    story = Story()
    story.run(100)
    story.well["upstox"] = False
    story.until("fyers")
    story.well["upstox"] = True
    story.quiet.add("upstox")
    story.run(2000)
    assert story.machine.active == "fyers"


def test_backups_are_tried_in_order_and_the_ill_ones_passed_over() -> None:
    story = Story()
    story.run(100)
    story.well.update(upstox=False, fyers=False)
    story.until("dhan")
    assert switches(story)[1:] == [("upstox", "dhan", "unreachable", True)]
    story.well["fyers"] = True
    story.until("fyers")
    story.well["upstox"] = True
    story.until("upstox")
    assert [one.reason for one in story.made[2:]] == ["fail-back", "fail-back"]


def test_an_only_broker_is_listened_to_whatever_it_does() -> None:
    story = Story("dhan")
    story.well["dhan"] = False
    story.run(500)
    assert story.machine.active == "dhan"
    assert story.machine.standings["dhan"] is Standing.DOUBTED
    assert story.machine.reasons["dhan"] == "unreachable"


@pytest.mark.parametrize("names", [[], ["upstox", "upstox"]])
def test_brokers_are_named_once(names: list[str]) -> None:
    with pytest.raises(ValueError, match="expected one or more, each once"):
        Failover(names)


MOMENTS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 5, 30]),
        st.booleans(),
        st.lists(
            st.tuples(
                st.sampled_from(["well", "well", "ill", "ended"]),
                st.booleans(),
                st.integers(0, 3),
            ),
            min_size=3,
            max_size=3,
        ),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(MOMENTS)
def test_what_always_holds(moments: list[tuple[int, bool, list[tuple[str, bool, int]]]]) -> None:
    machine = Failover(NAMES, LIMITS)
    now_s = 0.0
    lost = dict.fromkeys(NAMES, 0)
    for seconds, market_open, states in moments:
        now_s += seconds
        seen = {}
        for name, (state, audible, interruptions) in zip(NAMES, states, strict=True):
            lost[name] += interruptions
            ready = state == "well"
            seen[name] = Seen(
                ready, now_s if ready and audible else None, lost[name], state == "ended"
            )
        active, probed = machine.active, machine.probed
        made = machine.judge(now_s, seen, market_open=market_open)
        standings = list(machine.standings.values())
        assert sum(one in LISTENED_TO for one in standings) == (not machine.exhausted)
        assert standings.count(Standing.PROBED) <= 1
        assert machine.active in (None, *machine.running)
        for switch in made:
            assert switch.source == active
            active = switch.target
            if switch.target is not None and switch.reason not in ("start", "ended"):
                # Made before the old was broken off: it ran before, and was ready.
                assert switch.target == probed
                assert seen[switch.target].ready
        assert active == machine.active
        if machine.active is not None and not made:
            assert machine.standings[machine.active] in LISTENED_TO


@settings(max_examples=40)
@given(MOMENTS)
def test_when_all_are_well_again_the_best_that_is_left_is_listened_to(
    moments: list[tuple[int, bool, list[tuple[str, bool, int]]]],
) -> None:
    story = Story()
    for seconds, market_open, states in moments:
        story.market_open = market_open
        for name, (state, audible, interruptions) in zip(NAMES, states, strict=True):
            story.well[name] = state == "well"
            story.lost[name] += interruptions
            (story.quiet.discard if audible else story.quiet.add)(name)
            if state == "ended" and len(story.ended) < 2:
                story.ended.add(name)
        story.step(seconds)
    story.quiet.clear()
    story.well = dict.fromkeys(NAMES, True)
    for _ in range(600):
        story.step(5)
    standings = story.machine.standings
    best = next(name for name in NAMES if standings[name] is not Standing.ENDED)
    assert story.machine.active == best
