import asyncio

import aiormq
import pytest

from tapewire.queues.amqp import BrokerAddress, answers, unusable
from tapewire.queues.queue import QueueError

ADDRESS = BrokerAddress.parse("amqp://me:hush@broker.example:5673/markets")


def test_an_address_is_shown_without_user_and_password() -> None:
    assert ADDRESS.shown == "amqp://broker.example:5673/markets"
    assert ADDRESS.url == "amqp://me:hush@broker.example:5673/markets?heartbeat=5"


def test_an_address_may_choose_its_own_heartbeat() -> None:
    address = BrokerAddress.parse("amqps://broker.example/?heartbeat=30&no_verify_ssl=1")
    assert address.url == "amqps://broker.example/?heartbeat=30&no_verify_ssl=1"


@pytest.mark.parametrize(
    "wrong", ["", "localhost", "http://host/", "amqp://", "amqp://me:hush@host:port/"]
)
def test_what_is_no_address_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(QueueError, match="expected amqp://USER:PASSWORD@HOST:PORT") as refusal:
        BrokerAddress.parse(wrong)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (aiormq.ProbableAuthenticationError("refused"), "user name and password"),
        (aiormq.InvalidFrameError("no OpenOk"), "virtual host"),
        (ConnectionRefusedError("refused"), "right host and port"),
        (TimeoutError(), "no answer in time"),
    ],
)
def test_an_error_says_what_to_check(error: Exception, hint: str) -> None:
    message = str(unusable(ADDRESS, error))
    assert hint in message
    assert "amqp://broker.example:5673/markets" in message
    assert "hush" not in message


async def test_a_wait_that_the_library_cancelled_is_an_error() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    with pytest.raises(QueueError, match="ended before the answer"):
        with answers(ADDRESS):
            await gone


async def test_a_wait_that_we_cancelled_is_cancelled() -> None:
    async def wait() -> None:
        with answers(ADDRESS):
            await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_comes_together_with_the_answer_is_not_forgotten() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        with answers(ADDRESS):
            return await asyncio.wait_for(answer, 10)

    task = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    answer.set_result("here")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
