"""Which brokers are asked, for which instruments, and what they tell of them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tapewire.caches.cache import CacheUnavailable
from tapewire.cli import broker_parts
from tapewire.cli.broker_parts import (
    References,
    at_hours,
    client_bounds,
    failover_limits,
    instrument_names,
    keep_references,
)
from tapewire.market.exchange_hours import may_speak, must_speak
from tapewire.model.rows import Reference
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.failover import FailoverLimits
from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import Settings

RELIANCE = Reference("NSE_EQ:2885", "", prev_day_close=1450.0, name="RELIANCE")


def settings(**given: Any) -> Settings:
    return Settings(**{"tapewire_data_dir": Path("data"), **given})


def test_instruments_are_a_list_or_a_files_lines(tmp_path: Path) -> None:
    listed = settings(broker_instruments="NSE_EQ:2885, RELIANCE,NIFTY-I,RELIANCE")
    assert instrument_names(listed) == ["NSE_EQ:2885", "RELIANCE", "NIFTY-I"]
    (tmp_path / "mine").write_text("NIFTY-I # the near month\n\nM&M\n")
    assert instrument_names(settings(broker_instruments=f"{tmp_path}/mine")) == ["NIFTY-I", "M&M"]


@pytest.mark.parametrize("given", ["", "missing.txt", "./missing"])
def test_instruments_that_are_nowhere_are_a_mistake_that_names_the_setting(given: str) -> None:
    with pytest.raises(UsageError, match="BROKER_INSTRUMENTS"):
        instrument_names(settings(broker_instruments=given or None))


def test_the_limits_of_a_change_of_brokers_are_settings() -> None:
    assert failover_limits(settings()) == FailoverLimits()
    assert client_bounds(settings()) == ClientBounds()
    patient = settings(broker_silence_s=300, broker_failback_s=600)
    assert failover_limits(patient) == FailoverLimits(silence_s=300, stable_s=600)
    assert client_bounds(patient).mute_s == 300


def test_silence_counts_in_the_hours_of_what_is_subscribed() -> None:
    auction_ms = 1_795_145_880_000  # 2026-11-20 09:08 in India
    subscribed: list[str] = []
    given = settings(), must_speak, lambda: subscribed, lambda: auction_ms
    must = at_hours(*given)
    assert not must()
    subscribed.append("MCX_FO")
    assert must()
    assert not at_hours(settings(), must_speak, lambda: ["NSE_EQ"], lambda: auction_ms)()
    assert at_hours(settings(), may_speak, lambda: ["NSE_EQ"], lambda: auction_ms)()


def test_at_an_address_of_ones_own_any_time_may_be_played() -> None:
    own = settings(dhan_rest_url="http://127.0.0.1:9000")
    assert at_hours(own, must_speak, lambda: ["NSE_EQ"], lambda: 0)()


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_simulators_instruments_are_not_kept_among_the_brokers_own(tmp_path: Path) -> None:
    own = settings(
        tapewire_data_dir=tmp_path,
        upstox_access_token="token",
        fyers_access_token="token",
        upstox_rest_url="http://127.0.0.1:9000",
    )
    async with AsyncExitStack() as stack:
        brokers, _ = broker_parts.build_brokers(own, stack)
        assert [broker.name for broker in brokers] == ["upstox", "fyers"]
    assert broker_parts.is_own(own, "upstox")
    assert not broker_parts.is_own(own, "fyers")
    assert not left_in(tmp_path)


def test_two_listeners_of_the_same_accounts_share_a_lease_and_its_name_has_no_token() -> None:
    one = settings(upstox_access_token="secret-1", fyers_access_token="APP-100:secret-2")
    tomorrow = settings(upstox_access_token="secret-3", fyers_access_token="APP-100:secret-4")
    other = settings(upstox_access_token="secret-1", fyers_access_token="APP-200:secret-2")
    assert broker_parts.lease_name(one) == broker_parts.lease_name(tomorrow)
    assert broker_parts.lease_name(one) != broker_parts.lease_name(other)
    assert "secret" not in broker_parts.lease_name(one)


def test_what_is_told_before_the_day_is_known_waits_for_it() -> None:
    book = References()
    assert book.due("", [RELIANCE]) == []
    (row,) = book.due("2026-11-20", [])
    assert (row.symbol, row.date, row.prev_day_close) == ("NSE_EQ:2885", "2026-11-20", 1450.0)
    assert book.due("2026-11-20", []) == []


def test_a_row_keeps_what_was_known_where_a_later_one_says_nothing() -> None:
    book = References()
    book.due("2026-11-20", [RELIANCE])
    (row,) = book.due("2026-11-20", [Reference("NSE_EQ:2885", "", prev_day_close=1460.0)])
    assert (row.name, row.prev_day_close) == ("RELIANCE", 1460.0)


def test_on_a_new_day_names_are_written_again_without_the_old_close() -> None:
    book = References()
    book.due("2026-11-20", [RELIANCE])
    (row,) = book.due("2026-11-23", [])
    assert (row.date, row.name, row.prev_day_close) == ("2026-11-23", "RELIANCE", None)


class Store:
    """Reference rows in one process; away for the first ``failures`` writes."""

    def __init__(self, failures: int) -> None:
        self.rows: list[Reference] = []
        self.written = asyncio.Event()
        self._failures = failures

    async def put(self, date: str, rows: Sequence[Reference]) -> None:
        if self._failures:
            self._failures -= 1
            raise CacheUnavailable("away")
        self.rows += rows
        self.written.set()


class Feed:
    def __init__(self) -> None:
        self.told = [RELIANCE]

    def references(self) -> Sequence[Reference]:
        told, self.told = self.told, []
        return told


async def test_rows_that_could_not_be_written_are_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_parts, "REFERENCES_S", 0.01)
    store = Store(failures=2)
    keeping = asyncio.create_task(keep_references(Feed(), store, lambda: "2026-11-20"))
    async with asyncio.timeout(5):
        await store.written.wait()
    keeping.cancel()
    assert [(row.symbol, row.date) for row in store.rows] == [("NSE_EQ:2885", "2026-11-20")]
