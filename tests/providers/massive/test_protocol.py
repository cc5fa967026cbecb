"""The connection's states and answers, by plain calls."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.model.streams import Stream
from tapewire.providers.massive.protocol import (
    RECONNECT,
    Backoff,
    CloseReason,
    ConnectionState,
    CoolDown,
    FrameSplitter,
    MassiveConnection,
    QueueNameResolver,
    Slice,
    Stop,
    close_reason,
    upgrade_refusal,
)
from tests.providers.massive.events import frame, status, trade

DELAYED = (
    "You don't have access real-time data. If your plan only includes delayed data, you can "
    "connect to the delayed websocket at wss://delayed.polygon.io/stocks."
)


def connection(*topics: str, cutter: FrameSplitter | None = None) -> MassiveConnection:
    made = MassiveConnection(
        "secret", topics or ("T.*", "A.*"), cutter or FrameSplitter(QueueNameResolver({}))
    )
    made.opened()
    return made


def authenticated(*topics: str, cutter: FrameSplitter | None = None) -> MassiveConnection:
    made = connection(*topics, cutter=cutter)
    made.receive(frame(status("connected", "Connected Successfully")))
    made.receive(frame(status("auth_success", "authenticated")))
    made.data_to_send()
    return made


def sent(made: MassiveConnection) -> list[dict[str, str]]:
    return [msgspec.json.decode(message) for message in made.data_to_send()]


def confirm(made: MassiveConnection, *topics: str) -> None:
    made.receive(frame(*(status("success", f"subscribed to: {topic}") for topic in topics)))


def test_the_handshake_goes_from_greeting_to_streaming() -> None:
    made = connection()
    steps: list[tuple[ConnectionState, list[dict[str, str]]]] = [(made.state, sent(made))]
    for events in (
        [status("connected", "Connected Successfully")],
        [status("auth_success", "authenticated")],
        [status("success", "subscribed to: T.*"), status("success", "subscribed to: A.*")],
    ):
        made.receive(frame(*events))
        steps.append((made.state, sent(made)))
    assert steps == [
        (ConnectionState.CONNECTED, []),
        (ConnectionState.AUTHENTICATING, [{"action": "auth", "params": "secret"}]),
        (ConnectionState.SUBSCRIBING, [{"action": "subscribe", "params": "T.*,A.*"}]),
        (ConnectionState.STREAMING, []),
    ]
    assert made.confirmed == {"T.*", "A.*"}


def test_data_streams_though_nothing_was_acknowledged() -> None:
    made = authenticated()
    items = made.receive(frame(trade(), status("success", "subscribed to: T.*"), trade()))
    assert [item.count for item in items if isinstance(item, Slice)] == [2]
    assert made.state is ConnectionState.STREAMING
    assert made.confirmed == {"T.*"}


def test_nothing_is_sent_before_the_greeting() -> None:
    made = connection()
    made.receive(frame(status("auth_success", "authenticated")))
    assert made.state is ConnectionState.CONNECTED
    assert sent(made) == []
    assert made.notes == {"auth_success: authenticated": 1}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (("auth_failed", "authentication failed"), CloseReason.AUTH_FAILED),
        (("auth_failed", "Your plan doesn't include websocket access."), CloseReason.AUTH_FAILED),
        (("auth_timeout", "No authentication request received."), CloseReason.AUTH_TIMEOUT),
        (("max_connections", "Maximum number exceeded."), CloseReason.MAX_CONNECTIONS),
        (("slow_consumer", ""), CloseReason.SLOW_CONSUMER),
        (("force_disconnect", ""), CloseReason.FORCE_DISCONNECT),
        (("error", DELAYED), CloseReason.DELAYED_PLAN),
    ],
)
@pytest.mark.parametrize("stage", ["connected", "subscribing", "streaming"])
def test_the_catalogue_of_endings_ends_any_state(
    answer: tuple[str, str], reason: CloseReason, stage: str
) -> None:
    made = connection() if stage == "connected" else authenticated()
    if stage == "streaming":
        confirm(made, "T.*", "A.*")
    made.receive(frame(status(*answer)))
    assert made.state is ConnectionState.CLOSED
    assert made.closed(1008) is reason
    assert made.message == (answer[1] or answer[0])


def test_a_refused_topic_is_counted_and_the_rest_streams() -> None:
    made = authenticated("T.*", "Q.*")
    confirm(made, "T.*")
    made.receive(frame(status("error", "not authorized")))
    assert (made.state, made.refused) == (ConnectionState.STREAMING, 1)


def test_a_plan_that_includes_no_topic_is_an_end() -> None:
    made = authenticated("Q.*", "LULD.*")
    made.receive(frame(status("error", "not authorized"), status("error", "not authorized")))
    assert made.reason is CloseReason.NOT_AUTHORIZED
    assert made.message == "not authorized: Q.*, LULD.*"


def test_an_unknown_status_is_noted_and_changes_nothing() -> None:
    made = authenticated()
    made.receive(frame(status("weather", "sunny"), status("error", "something else")))
    assert made.state is ConnectionState.SUBSCRIBING
    assert made.notes == {"weather: sunny": 1, "error: something else": 1}


def test_a_topic_is_proved_by_its_data_or_its_acknowledgement() -> None:
    made = authenticated("T.*", "A.*", "Q.AIG")
    confirm(made, "A.*")
    assert made.unconfirmed(0.0, 5.0) == []  # the time begins here
    made.receive(frame(trade()))
    assert made.unconfirmed(4.9, 5.0) == []
    assert made.unconfirmed(5.0, 5.0) == ["Q.AIG"]


def test_data_of_an_earlier_connection_proves_nothing() -> None:
    cutter = FrameSplitter(QueueNameResolver({Stream.TRADES: 1}))
    authenticated("T.*", cutter=cutter).receive(frame(trade()))
    after = authenticated("T.*", cutter=cutter)
    after.unconfirmed(0.0, 5.0)
    assert after.unconfirmed(5.0, 5.0) == ["T.*"]


def test_silence_is_asked_again_three_times_in_all() -> None:
    made = authenticated("ZZ.AIG")
    asked = 0
    for second in range(60):
        made.reconcile(float(second), 5.0)
        asked += len(sent(made))
    assert asked == 2  # beside the first request
    assert made.unconfirmed(60.0, 5.0) == ["ZZ.AIG"]


def test_topics_change_while_it_streams() -> None:
    made = authenticated("T.*")
    confirm(made, "T.*")
    made.subscribe(["T.*", "A.*"])
    made.unsubscribe(["T.*", "Q.*"])
    made.receive(frame(status("success", "unsubscribed to: T.*")))
    assert sent(made) == [
        {"action": "subscribe", "params": "A.*"},
        {"action": "unsubscribe", "params": "T.*"},
    ]
    assert (made.topics, made.confirmed, dict(made.notes)) == (["A.*"], set(), {})


def test_topics_added_before_login_are_asked_for_with_the_rest() -> None:
    made = connection("T.*")
    made.subscribe(["A.*"])
    assert sent(made) == []
    made.receive(frame(status("connected")))
    made.receive(frame(status("auth_success")))
    assert sent(made)[-1] == {"action": "subscribe", "params": "T.*,A.*"}


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (1000, "end of source", CloseReason.END_OF_SOURCE),
        (1000, "", CloseReason.DROPPED),
        (1001, "end of source", CloseReason.DROPPED),
        (1006, "", CloseReason.DROPPED),
        (1008, "", CloseReason.POLICY),
        (1011, "", CloseReason.DROPPED),
        (1013, "", CloseReason.DROPPED),
    ],
)
def test_close_codes_have_their_reason(code: int, said: str, reason: CloseReason) -> None:
    assert close_reason(code, said) is reason


def test_every_reason_has_an_answer_and_the_hard_ones_are_these() -> None:
    assert set(RECONNECT) == set(CloseReason)
    stops = {reason for reason, answer in RECONNECT.items() if isinstance(answer, Stop)}
    assert stops == {CloseReason.AUTH_FAILED, CloseReason.NOT_AUTHORIZED, CloseReason.DELAYED_PLAN}
    kicked = RECONNECT[CloseReason.MAX_CONNECTIONS]
    assert isinstance(kicked, CoolDown)
    assert kicked.seconds >= 60
    assert RECONNECT[CloseReason.SLOW_CONSUMER] == Backoff(alarm=True)


def test_refused_upgrades_are_told_apart() -> None:
    assert upgrade_refusal(401) is CloseReason.AUTH_FAILED
    assert upgrade_refusal(429) is CloseReason.RATE_LIMITED
    assert upgrade_refusal(503) is CloseReason.UNREACHABLE


_statuses = st.sampled_from(
    [
        status("connected"),
        status("auth_success"),
        status("success", "subscribed to: T.*"),
        status("error", "not authorized"),
        status("max_connections"),
        status("odd"),
        b'{"ev":"status","status":7}',
        trade(),
        b"7",
    ]
)


@given(st.lists(st.lists(_statuses, max_size=4), max_size=8))
def test_no_order_of_statuses_leads_back_or_beyond_the_end(frames: list[list[bytes]]) -> None:
    made = connection()
    order = list(ConnectionState)
    states = [made.state]
    for events in frames:
        made.receive(frame(*events))
        states.append(made.state)
    positions = [order.index(state) for state in states]
    assert all(before <= after for before, after in pairwise(positions))
    assert (made.state is ConnectionState.CLOSED) == (made.reason is not None)
