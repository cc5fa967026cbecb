"""``tapewire simulate upstox``, ``fyers`` and ``dhan``: a broker on one's own machine."""

import os
from typing import Final

from tapewire.cli.clock import wall_ms
from tapewire.cli.simulated import Asked, sources_of
from tapewire.cli.simulator_service import Playing
from tapewire.cli.wall_clock import IN_INDIA
from tapewire.runtime.service import UsageError
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account
from tapewire.simulators.brokers import (
    ANY_TOKEN,
    Surroundings,
    broker_simulator,
    environment,
    token_of,
)
from tapewire.simulators.tick_tape import TickTape, parse_ticks

_SHOWN: Final = 6
"""Instruments that are suggested for a listener's settings."""


def build(broker: str, asked: Asked) -> BrokerSimulator:
    """The simulator, not started; SourceError, FaultError or UsageError (exit code 2)."""
    if asked.delayed:
        raise UsageError(f"--delayed is Massive's delayed feed; {broker} has none")
    texts = sources_of(asked.sources, asked.seed, asked.began_ms, IN_INDIA)
    if len(texts) != 1:
        raise UsageError(f"--source is given {len(texts)} times; a broker plays one source")
    source = parse_ticks(texts[0])
    source.skip(asked.begin.skipped_ms // 1000)
    return broker_simulator(
        broker,
        TickTape(source),
        Account(token=token_of(broker, asked.key, asked.began_ms) if asked.key else None),
        Surroundings(wall_ms, lambda: os.urandom(16).hex()),
        speed=asked.speed,
        once=asked.once,
        faults=list(asked.faults),
        port=asked.port,
        rest_port=asked.rest_port,
        head_start_ms=asked.begin.at_once_ms,
    )


def playing(broker: str, simulator: BrokerSimulator, asked: Asked) -> Playing:
    """What there is to tell once it listens; some instruments to subscribe to among it."""
    token = token_of(broker, asked.key or ANY_TOKEN, asked.began_ms)
    settings = environment(broker, simulator.rest_url, simulator.ws_url, token)
    settings["BROKER_INSTRUMENTS"] = ",".join(_examples(simulator.tape))
    tape = simulator.tape
    name = broker.capitalize()
    return Playing(name, simulator.ws_url, simulator.rest_url, tape.name, settings, tape.notes)


def _examples(tape: TickTape) -> list[str]:
    """A few instruments of every exchange."""
    by_exchange: dict[str, list[str]] = {}
    for key, instrument in tape.instruments.items():
        by_exchange.setdefault(instrument.exchange, []).append(key)
    rounds = max(map(len, by_exchange.values()), default=0)
    keys = [keys[n] for n in range(rounds) for keys in by_exchange.values() if n < len(keys)]
    return keys[:_SHOWN]
