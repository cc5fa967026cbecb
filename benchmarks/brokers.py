"""``brokers``: a broker's frames to candles in Redis, the whole way in one process on one core.

For Upstox (``full``), Fyers and Dhan in turn: ``ticks_per_second`` with event time at wall
speed, every candle compared; ``fold_p99_us``, from a frame's receipt to its ticks in their bars
where nothing waits; ``socket_to_redis_p99_ms`` at 50,000 ticks a second, where batches and
flushes do. Then what waiting ticks take in memory, and what more processes bring.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks import fold, machine
from benchmarks.broker_line import Line, Timing, differences, state_of
from benchmarks.broker_market import KINDS, BrokerKind, BrokerTape, tape
from benchmarks.frames import PROJECT
from benchmarks.peak import make_peak
from benchmarks.plan import Plan
from benchmarks.report import Row, complain, say
from benchmarks.streams import percentile
from tapewire.model.batch import Batch, encode_batch
from tapewire.model.streams import Shard, Stream
from tapewire.services.tick_intake import TickIntake
from tests.servers import RedisServer

NAME: Final = "brokers"
FIRST_GUESS: Final = 250_000.0
CLOSE: Final = 0.15
"""How far off the speed may be for which event time was made."""

TRIES: Final = 2
PACED: Final = 50_000.0
"""Ticks a second of the run that measures waiting."""

BACKLOG_TICKS: Final = 2_000_000
AS_GOOD: Final = 1.1
"""Of the processor time of one process, what each tick may take with two."""


def run(plan: Plan) -> Iterator[Row]:
    """Three rows a broker, then memory, then processes."""
    with fold.redis_on_the_other_core(plan.folder) as redis:
        for kind in KINDS:
            yield from broker_rows(plan, kind, redis)
        yield from backlog_rows(plan)
        yield from process_rows(plan, KINDS[1], redis)


def broker_rows(plan: Plan, kind: BrokerKind, redis: RedisServer) -> Iterator[Row]:
    """What one broker's ticks come to."""
    say(f"{NAME}: {kind.name}: finding the speed to make event time for")
    made = fitted(plan, kind, redis)
    say(
        f"{NAME}: {kind.name}: {plan.recording.label}: {made.ticks:,} ticks of"
        f" {len(made.instruments):,} contracts in {len(made.frames):,} frames"
    )
    rates, wrong = [], []
    for _ in plan.counted(f"{NAME}, {kind.name}"):
        rates.append(timed(made, redis).rate)
        wrong += differences(redis.url, [made])
    with machine.on_core(0), machine.hidden_data():
        reference = machine.median([decode_rate(made) for _ in range(plan.runs)])
        folds = machine.median([fold_p99_us(made) for _ in range(plan.runs)])
    complain(NAME, wrong)
    unit = f"{kind.name} ticks/s"
    rate = round(machine.median(rates))
    yield Row(NAME, "ticks_per_second", rate, unit, round(reference), not wrong)
    yield Row(NAME, "fold_p99_us", round(folds), f"{kind.name} µs", 0, folds <= 1_000)
    yield waiting_row(plan, kind, redis)


def fitted(plan: Plan, kind: BrokerKind, redis: RedisServer) -> BrokerTape:
    """Frames for the speed that this machine reaches at this moment, as far as they fit."""
    made = _made(plan, kind, FIRST_GUESS, 0.2)
    rate = timed(made, redis).rate
    for _ in range(TRIES):
        made = _made(plan, kind, rate)
        reached = timed(made, redis).rate
        if abs(reached / rate - 1) <= CLOSE:
            break
        rate = reached
    return made


def _made(plan: Plan, kind: BrokerKind, rate: float, share: float = 1.0) -> BrokerTape:
    ticks = min(kind.most_ticks, round(share * rate * plan.seconds))
    return tape(kind, make_peak(plan.recording, ticks, rate))


def timed(made: BrokerTape, redis: RedisServer) -> Timing:
    """The whole way once, into an empty Redis, on the first core."""
    redis.call("FLUSHALL")
    line = Line(made, redis.url)
    with machine.on_core(0):
        timing = machine.run_on_loop(line.run)
    say(f"  {timing.rate:,.0f} ticks/s ({timing.seconds:.2f} s; {timing.cpu_us:.2f} µs a tick)")
    return timing


def decode_rate(made: BrokerTape) -> float:
    """Ticks a second of the connection alone."""
    connection, ticks = made.connection(), 0
    started = time.perf_counter()
    for frame, at_ns in made.frames:
        ticks += len(connection.receive(frame, at_ns, 0.0))
        connection.data_to_send()
    return ticks / (time.perf_counter() - started)


def fold_p99_us(made: BrokerTape) -> float:
    """From a frame's receipt to its ticks in their bars, one frame to a batch: no waiting."""
    connection, intake = made.connection(), TickIntake(1)
    state, offset, took = state_of(Shard(Stream.TICKS, 0)), 0, []
    for frame, at_ns in made.frames:
        began = time.perf_counter()
        for piece in intake.slices(connection.receive(frame, at_ns, 0.0)):
            batch = Batch(
                "brokers", Stream.TICKS, 0, "b", 1, offset, piece.count, at_ns, piece.payload
            )
            state.take(encode_batch(batch))
            offset += piece.count
        took.append(1e6 * (time.perf_counter() - began))
        connection.data_to_send()
    return percentile(took[made.handshake :], 0.99)


def waiting_row(plan: Plan, kind: BrokerKind, redis: RedisServer) -> Row:
    """From a frame's arrival to the answer to the flush that holds its ticks."""
    ticks = round(PACED * min(plan.seconds, 5.0))
    made = tape(kind, make_peak(plan.recording, ticks, PACED))
    waits, wrong = [], []
    for _ in plan.counted(f"{NAME}, {kind.name}, {PACED:,.0f} ticks/s"):
        redis.call("FLUSHALL")
        line = Line(made, redis.url, per_second=PACED)
        with machine.on_core(0):
            machine.run_on_loop(line.run)
        waits.append(1000 * percentile(line.waits_s(), 0.99))
        wrong += differences(redis.url, [made])
        say(f"  {waits[-1]:.0f} ms")
    complain(NAME, wrong)
    p99_ms = round(machine.median(waits))
    return Row(NAME, "socket_to_redis_p99_ms", p99_ms, f"{kind.name} ms", 0, not wrong)


def backlog_rows(plan: Plan) -> Iterator[Row]:
    """Memory of a full queue, and of one that was given twice as much; a tenth of it in a trial."""
    ticks = BACKLOG_TICKS if plan.seconds >= Plan.seconds else BACKLOG_TICKS // 10
    say(f"{NAME}: {ticks:,} ticks that wait")
    command = [sys.executable, "-m", "benchmarks.tick_backlog", str(ticks)]
    with machine.on_core(0):
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, text=True)
    said = json.loads(done.stdout)
    say(
        f"  then as many again: {said['conflated']:,} conflated, {said['dropped']:,} dropped;"
        f" put took {said['put_p99_us']:.0f} µs (p99), at most {said['put_max_ms']:.1f} ms"
    )
    for metric, name in (("backlog_mb", "full_mb"), ("overfull_backlog_mb", "overfull_mb")):
        size = said[name]
        yield Row(NAME, metric, round(size), "MB", 0, said["whole"] and size <= said["most_mb"])


def process_rows(plan: Plan, kind: BrokerKind, redis: RedisServer) -> Iterator[Row]:
    """Two processes against one; more where they were asked for and cores are free."""
    ticks, single_us = min(kind.most_ticks, round(FIRST_GUESS * plan.seconds / 2)), 0.0
    for count in (1, 2, *((plan.processes,) if plan.processes > 2 else ())):
        if count > 2 and len(machine.cores()) < count:
            say(f"{NAME}: {count} processes not measured: {len(machine.cores())} cores here")
            continue
        rate, cpu_us, wrong = together(plan, kind, redis, count, ticks)
        complain(NAME, wrong)
        single_us = single_us or cpu_us
        good = not wrong and cpu_us <= AS_GOOD * single_us
        metric = f"ticks_per_second_{count}_processes"
        yield Row(NAME, metric, round(rate), f"{kind.name} ticks/s", 0, not wrong)
        yield Row(NAME, f"cpu_ns_per_tick_{count}_processes", round(1000 * cpu_us), "ns", 0, good)


def together(
    plan: Plan, kind: BrokerKind, redis: RedisServer, count: int, ticks: int
) -> tuple[float, float, list[str]]:
    """Medians of ticks a second and µs of processor a tick of ``count`` processes at once."""
    rates, costs, wrong = [], [], []
    for _ in plan.counted(f"{NAME}, {kind.name}, {count} process(es)"):
        redis.call("FLUSHALL")
        said = at_once(plan, kind, redis, count, ticks)
        total = sum(one["ticks"] for one in said)
        began, ended = min(one["began_s"] for one in said), max(one["ended_s"] for one in said)
        rates.append(total / (ended - began))
        costs.append(1e6 * sum(one["cpu_s"] for one in said) / total)
        wrong += [line for one in said for line in one["wrong"]]
        say(f"  {rates[-1]:,.0f} ticks/s; {costs[-1]:.2f} µs of processor a tick")
    return machine.median(rates), machine.median(costs), wrong


def at_once(
    plan: Plan, kind: BrokerKind, redis: RedisServer, count: int, ticks: int
) -> Sequence[dict[str, Any]]:
    """What the workers say that were started together."""
    base = redis.url.removesuffix("/0")
    arguments = [str(count), str(ticks), str(FIRST_GUESS), str(plan.file or "")]
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.broker_worker", kind.name, str(part)),
                *(*arguments, f"{base}/{part}"),
            ],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    said = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=300)
        said.append(json.loads(out))
    return said
