"""Scripting per frame, from what a browser traces."""

import pytest

from benchmarks.scripting import Event, Scripting, scripting

MAIN, OTHER = 7, 8


def event(name: str, ts: int, dur: int = 0, cpu: int | None = None, tid: int = MAIN) -> Event:
    """One event of the trace; ``dur`` 0: a mark without a length."""
    length = {"dur": dur, "tdur": dur if cpu is None else cpu} if dur else {}
    return {"name": name, "pid": 1, "tid": tid, "ts": ts, **length}


def frame(ts: int, tid: int = MAIN) -> Event:
    return event("BeginMainThreadFrame", ts, tid=tid)


def test_scripts_belong_to_the_frame_that_began_before_them() -> None:
    trace = [
        frame(0), event("FireAnimationFrame", 10, 2_000), event("TimerFire", 5_000, 500),
        frame(16_000), event("FunctionCall", 17_000, 1_000, cpu=400), frame(32_000),
    ]  # fmt: skip
    assert scripting(trace) == [Scripting(2.5, 2.5), Scripting(0.4, 1.0)]


def test_a_script_inside_another_one_counts_once() -> None:
    trace = [
        frame(0), event("FunctionCall", 1_000, 3_000), event("FireAnimationFrame", 900, 4_000),
        event("MinorGC", 2_000, 1_000), event("RunMicrotasks", 4_900, 100), frame(16_000),
    ]  # fmt: skip
    assert scripting(trace) == [Scripting(4.1, 4.1)]


def test_frames_without_scripts_cut_frames_and_other_threads_do_not_count() -> None:
    trace = [
        event("FunctionCall", 1, 50), frame(100), event("Layout", 200, 900), frame(16_000),
        event("FunctionCall", 17_000, 700), event("FunctionCall", 17_000, 9_000, tid=OTHER),
        frame(20_000, tid=OTHER), frame(32_000), event("FunctionCall", 33_000, 5_000),
    ]  # fmt: skip
    assert scripting(trace) == [Scripting(0.7, 0.7)]


def test_a_page_that_drew_nothing_is_no_result() -> None:
    with pytest.raises(ValueError, match="nothing was drawn"):
        scripting([event("FunctionCall", 1, 50)])
