"""``rabbitmq``: a provider's socket to rows in Redis over a real broker, process by process.

Feeder, listener, RabbitMQ, processor and Redis share two cores. The feeder serves frames
that were encoded beforehand; the queue loses nothing (no TTL, no bound). Timed from the
first frame offered to the moment at which a reader finds the last row in Redis.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from benchmarks import answers
from benchmarks.batches import bodies_of
from benchmarks.fit import fit
from benchmarks.fold import (
    Timing,
    described,
    expected_of,
    middle,
    previous_closes,
    reference_rate,
    references,
    tell,
)
from benchmarks.peak import Peak
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from benchmarks.roles import Roles, wire
from tests.servers import RabbitServer, RedisServer, ServerError

NAME: Final = "rabbitmq"
FIRST_GUESS: Final = 150_000.0
POLL_S: Final = 0.01
GIVE_UP_S: Final = 120.0


@dataclass(frozen=True)
class Servers:
    """The broker, the Redis, and a folder for what the feeder reads."""

    rabbit: RabbitServer
    redis: RedisServer
    folder: Path


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Start both servers below ``folder``; stop them at the end."""
    servers = Servers(RabbitServer(folder / "rabbitmq"), RedisServer(folder / "redis"), folder)
    with ExitStack() as stack:
        stack.callback(servers.rabbit.close)
        servers.rabbit.start()
        stack.callback(servers.redis.stop)
        servers.redis.start()
        version = servers.rabbit.evaluate("rabbit_misc:version().").strip('"')
        say(f"RabbitMQ {version}")
        yield servers


def run(plan: Plan) -> Iterator[Row]:
    """One row."""
    with running(plan.folder / "rabbitmq-benchmark") as servers:
        yield row(plan, servers)


def row(plan: Plan, servers: Servers) -> Row:
    """The peak, made for the speed that a few runs before reach."""
    say("rabbitmq: finding the speed to make event time for")
    peak = fit(plan, FIRST_GUESS, lambda peak: through(servers, peak).rate)
    say(f"rabbitmq: {described(plan.recording, peak)}")
    expected = expected_of(peak, previous_closes(peak))
    timings, wrong = [], []
    for _ in plan.counted(NAME):
        timings.append(through(servers, peak))
        wrong += answers.differences(servers.redis.url, expected)
    tell(NAME, timings, peak.events_per_second)
    complain(NAME, wrong)
    reference = reference_rate(plan, bodies_of(peak.frames()))
    return Row.of(NAME, "events_per_second", middle(timings), reference, wrong)


def through(servers: Servers, peak: Peak) -> Timing:
    """Send a peak through processes of its own, once, into an empty Redis."""
    servers.redis.call("FLUSHALL")
    vhost = servers.rabbit.add_vhost()
    amqp, url = servers.rabbit.url(vhost), servers.redis.url
    tape = servers.folder / "tape"
    tape.write_bytes(wire(peak.frames()))
    rows = references(peak, previous_closes(peak))
    with Roles() as roles:
        roles.start("processor", amqp=amqp, redis=url, references=rows)
        feed = roles.start("feeder", tape=str(tape))["url"]
        roles.start("listener", amqp=amqp, feed=feed)
        started = roles.hear("feeder")["first_sent"]
        ended, flushes = until_ended(url, roles)
    servers.rabbit.delete_vhost(vhost)
    timing = Timing(ended - started, peak.count, flushes)
    say(f"  {timing.rate:,.0f} events/s ({timing.seconds:.2f} s, {timing.flushes} flushes)")
    return timing


def until_ended(url: str, roles: Roles) -> tuple[float, int]:
    """When the flush that ends the run could be read, and how many flushes there were."""
    deadline = time.monotonic() + GIVE_UP_S
    with redis.Redis.from_url(url, protocol=2) as store:
        while not store.hexists(f"{answers.SHARD}private:progress", "ended"):
            roles.check()
            if time.monotonic() > deadline:
                raise ServerError(f"the run has not ended after {GIVE_UP_S:g} s")
            time.sleep(POLL_S)
        ended = time.monotonic()
        place: Any = store.get(f"{answers.SHARD}place")
    return ended, int(place.decode().partition("-")[2])
