"""Event time in a silence, by the listener's clock and, when nobody is heard, by our own."""

from tapewire.services.quiet_clock import AHEAD_MS, SILENCE_MS, Anchor, QuietClock, latest_ms


def after_an_event(second_ms: int = 5_000, received_ms: int = 905_300) -> QuietClock:
    quiet = QuietClock()
    quiet.event(second_ms, received_ms)
    return quiet


def test_before_the_first_event_there_is_no_time() -> None:
    assert QuietClock().heartbeat(1_000) == -1
    assert QuietClock().tick(1_000.0) == -1


def test_what_passed_at_the_listener_since_the_event_passes_here() -> None:
    assert after_an_event().heartbeat(907_800) == 7_500


def test_it_never_goes_back() -> None:
    quiet = after_an_event()
    assert quiet.heartbeat(909_300) == 9_000
    assert quiet.heartbeat(906_300) == 9_000  # of another listener, whose clock is slow


def test_a_process_that_is_held_up_sees_no_silence() -> None:
    quiet = after_an_event()
    assert quiet.tick(0.0) == -1
    assert quiet.tick(10.0 * SILENCE_MS) == -1


def test_in_a_long_silence_our_own_clock_drives_until_somebody_is_heard() -> None:
    quiet = after_an_event()
    seen = [quiet.tick(at_ms) for at_ms in range(0, SILENCE_MS + 2_000, 500)]
    assert {at_ms for at_ms in seen if at_ms >= 0} == {65_000, 65_500, 66_000, 66_500}
    assert seen[:-4] == [-1] * (len(seen) - 4)
    quiet.heartbeat(905_300 + 70_000)
    assert quiet.tick(SILENCE_MS + 2_000) == -1


def test_an_owner_goes_on_from_the_anchor_of_the_one_before() -> None:
    before = after_an_event()
    assert QuietClock(before.anchor).heartbeat(4_505_300) == before.heartbeat(4_505_300)
    assert before.anchor == Anchor(5_000, 905_300)


def test_the_latest_time_follows_the_feeds_delay() -> None:
    assert latest_ms(1_000_000, None) is None
    assert latest_ms(1_000_000, 0) == 1_000_000 + AHEAD_MS
    assert latest_ms(1_000_000, 900_000) == 100_000 + AHEAD_MS
