"""Halts the whole way: a made-up day's LULD events over a socket, folded, stored, dumped."""

from typing import Any

import msgspec

from tapewire.simulators.source_strings import parse_source
from tests.replays import Stored, environment, tapewire

DAY = "generator:symbols=30,rate=0.1,until=end"
NS = 1_000_000

Row = dict[str, Any]


def sent() -> list[Row]:
    """Every LULD event of the day as the simulator sends it."""
    events = (event for slice_ in parse_source(DAY).slices() for event in slice_)
    return [msgspec.json.decode(text) for _, topic, text in events if topic.startswith("LULD.")]


def test_every_halt_of_the_day_is_published(redis_url: str) -> None:
    env = environment(WDC_REDIS_URL=redis_url)
    result = tapewire("replay", DAY, "--shards", "2", "--json", env=env).result
    events = sent()
    assert result["events"]["halts"] == len(events) == 10
    assert "halts" not in result["skipped"]
    stored = Stored(redis_url)
    assert stored.rows("halts") == [
        {
            "symbol": event["T"],
            "kind": "halt" if event["i"] == [17] else "resume",
            "reason": "trading halt or pause" if event["i"] == [17] else "trading reopened",
            "band_high": event["h"],
            "band_low": event["l"],
            "indicator": event["i"][0],
            "timestamp_ms": event["t"] // NS,
        }
        for event in sorted(events, key=lambda event: (event["t"], event["T"]))
    ]
    states = stored.rows("halt_state")
    assert [state["symbol"] for state in states] == sorted({event["T"] for event in events})
    assert not any(state["halted"] for state in states)
    shown = tapewire("halts", "--limit", "3", "--json", env=env).lines
    assert shown == stored.rows("halts")[-3:]
    one = tapewire("halts", "--symbol", states[0]["symbol"], "--json", env=env).lines
    assert [line["kind"] for line in one] == ["halt", "resume"]
    assert tapewire("halts", "--now", "--json", env=env).lines == []
    alerts = tapewire("alerts", "--limit", "10000", "--json", env=env).lines
    both = stored.rows("daily_range_hod_alert") + stored.rows("daily_range_lod_alert")
    assert sorted(map(str, alerts)) == sorted(map(str, both))
    assert alerts == sorted(alerts, key=lambda alert: alert["timestamp_ms"]) != []
