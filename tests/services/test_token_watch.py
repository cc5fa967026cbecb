"""Brokers that ended for want of a token are tried again when there is a new one."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tapewire.model.events import Tick
from tapewire.providers.broker import Broker, Ending
from tapewire.providers.broker_factory import BrokerFactory
from tapewire.providers.broker_socket import ClientBounds
from tapewire.providers.disconnects import Fatal
from tapewire.providers.failover import FailoverLimits
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.broker_settings import BrokerSettings
from tapewire.runtime.service import RefusedByProvider
from tapewire.services.broker_feed import BrokerFeed
from tapewire.services.token_watch import LOOK_S, TokenWatch
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.brokers import Surroundings, broker_simulator, environment
from tapewire.simulators.fyers_files import make_token
from tapewire.simulators.tick_tape import parse_tape
from tests.providers.small_broker import until

EXPIRED = Ending("token_expired", Fatal("provide a new one", renewable=True))
NO_PLAN = Ending("no_plan", Fatal("buy the data plan"))

DAY_S = 86_400
TAPE = "generator:seed=3,date=2026-11-20,at=09:15,until=09:30"
KEYS = ["NSE_FO:8765", "NSE_EQ:2885"]
BOUNDS = ClientBounds(prove_s=0.3, watch_s=0.05, backoff_base_s=0.02, close_timeout_s=0.3)
LIMITS = FailoverLimits(silence_s=30, unreachable_s=0.2, prove_s=10)


class Token:
    """A token that changes when a test says so."""

    setting = "FYERS_ACCESS_TOKEN_FILE"

    def __init__(self) -> None:
        self.changed = False
        self.looks = 0

    def has_changed(self) -> bool:
        self.looks += 1
        return self.changed


def test_files_are_looked_at_every_half_minute_for_those_that_have_ended() -> None:
    token = Token()
    watch = TokenWatch({"fyers": token})
    assert watch.renewed(100.0, {}) == []
    assert token.looks == 0
    for second in range(61):
        assert watch.renewed(100.0 + second, {"fyers": EXPIRED, "dhan": EXPIRED}) == []
    assert token.looks == 3
    assert LOOK_S == 30
    token.changed = True
    assert watch.renewed(100.0 + 2 * LOOK_S + 1, {"fyers": EXPIRED}) == []
    assert watch.renewed(100.0 + 3 * LOOK_S, {"fyers": EXPIRED}) == ["fyers"]


def test_a_token_that_came_while_the_broker_was_ending_is_seen_at_once() -> None:
    token = Token()
    token.changed = True
    assert TokenWatch({"fyers": token}).renewed(100.0, {"fyers": EXPIRED}) == ["fyers"]


def test_whom_a_new_token_would_not_help_is_not_waited_for() -> None:
    watch = TokenWatch({"fyers": Token()})
    assert watch.awaits({"fyers": EXPIRED, "dhan": NO_PLAN})
    assert not watch.awaits({"fyers": NO_PLAN})
    assert not watch.awaits({"dhan": EXPIRED})  # nobody can give it one while we run
    assert not watch.awaits({})


def test_each_ending_is_told_once_with_the_name_of_the_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    watch = TokenWatch({"fyers": Token()}, look_s=1.0)
    for second in (1.0, 2.0, 3.0):
        watch.renewed(second, {"fyers": EXPIRED})
    assert caplog.messages == ["fyers: tried again when FYERS_ACCESS_TOKEN_FILE has a new token"]
    watch.renewed(4.0, {})
    watch.renewed(5.0, {"fyers": EXPIRED})
    assert len(caplog.messages) == 2


class Morning:
    """A simulated Fyers, a file for its token, and a feed over this one broker."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "fyers-token"
        self.account = Account(token=self.token("yesterday"))
        around = Surroundings(lambda: time.time_ns() // 1_000_000, lambda: os.urandom(8).hex())
        tape = parse_tape(TAPE)
        self.fyers = broker_simulator("fyers", tape, self.account, around, speed="3000/s")
        self.ticks: list[Tick] = []
        self.brokers: Sequence[Broker] = ()
        self._folder = folder

    def token(self, word: str, lives_s: float = DAY_S) -> str:
        return make_token(word, time.time() + lives_s, app_id="APP-100")

    def write(self, token: str) -> None:
        self.file.write_text(f"{token}\n")
        self.file.chmod(0o600)

    def feed(self, *, watched: bool = True) -> BrokerFeed:
        environ = environment("fyers", self.fyers.rest_url, self.fyers.ws_url, "")
        given: dict[str, Any] = {name.lower(): value for name, value in environ.items()}
        given |= {"fyers_access_token": None, "fyers_access_token_file": self.file}
        factory = BrokerFactory(
            BrokerSettings(**given), lambda name: InstrumentCache(self._folder / name, time.time)
        )
        self.brokers = factory.make()
        return BrokerFeed(
            self.brokers,
            KEYS,
            tokens=TokenWatch(factory.token_files if watched else {}, look_s=0.05),
            limits=LIMITS,
            bounds=BOUNDS,
            judge_s=0.02,
            today=lambda: "2026-11-20",
        )

    def take(self, frame: bytes | str, ticks: Sequence[Tick]) -> None:
        self.ticks += ticks


@asynccontextmanager
async def morning(folder: Path) -> AsyncIterator[Morning]:
    """A played day that begins with a client's first connection."""
    one = Morning(folder)
    await one.fyers.start()
    try:
        yield one
    finally:
        for broker in one.brokers:
            await broker.close()
        await one.fyers.stop()


@asynccontextmanager
async def feeding(one: Morning) -> AsyncIterator[BrokerFeed]:
    feed = one.feed()
    run = asyncio.create_task(feed.run(one.take))
    try:
        yield feed
        assert not run.done()
    finally:
        feed.stop()
        await run


def standing(feed: BrokerFeed) -> str:
    return str(feed.status()["brokers"]["fyers"]["standing"])


async def test_a_token_that_is_written_in_the_morning_is_used_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with morning(tmp_path) as one:
        one.write(one.token("yesterday", lives_s=-3600))
        async with feeding(one) as feed:
            await until(lambda: standing(feed) == "ended")
            assert "no broker serves us: fyers: token_expired" in feed.last_ending
            assert not feed.healthy
            assert not one.ticks
            one.account.token = today = one.token("today")
            one.write(today)
            await until(lambda: feed.healthy and len(one.ticks) > 100)
            assert feed.active == "fyers"
    assert "fyers: a new token in FYERS_ACCESS_TOKEN_FILE; it is tried again" in caplog.messages
    assert today not in caplog.text
    assert today.rpartition(":")[2] not in caplog.text


@pytest.mark.parametrize("content", [None, "", "two words"])
async def test_the_file_may_come_after_the_listener(tmp_path: Path, content: str | None) -> None:
    async with morning(tmp_path) as one:
        if content is not None:
            one.write(content)
        async with feeding(one) as feed:
            await until(lambda: "token_file" in feed.last_ending)
            assert "write the token into that file" in feed.last_ending
            one.write(str(one.account.token))
            await until(lambda: feed.healthy and len(one.ticks) > 100)


async def test_a_token_that_dies_in_the_session_leaves_a_hole_and_a_new_one_ends_it(
    tmp_path: Path,
) -> None:
    async with morning(tmp_path) as one:
        one.write(str(one.account.token))
        async with feeding(one) as feed:
            await until(lambda: feed.healthy and len(one.ticks) > 100)
            one.account.token = one.token("today")
            one.fyers.inject("drop")
            await until(lambda: "token_refused" in feed.last_ending and standing(feed) == "ended")
            seen = len(one.ticks)
            one.write(one.account.token)
            await until(lambda: feed.healthy and len(one.ticks) > seen + 100)
            assert feed.statistics.connections == 2
            assert feed.switches[-1].hole


async def test_without_a_file_nobody_waits_for_a_token(tmp_path: Path) -> None:
    async with morning(tmp_path) as one:
        one.write(one.token("yesterday", lives_s=-3600))
        feed = one.feed(watched=False)
        with pytest.raises(RefusedByProvider, match="fyers: token_expired; refused twice"):
            async with asyncio.timeout(10):
                await feed.run(one.take)
