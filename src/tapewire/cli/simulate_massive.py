"""``tapewire simulate massive``: Massive on one's own machine."""

from typing import Final

from tapewire.cli.simulated import Asked, sources_of
from tapewire.cli.simulator_service import Playing
from tapewire.providers.massive.feeds import DELAY_MS
from tapewire.simulators.massive import MassiveSimulator
from tapewire.simulators.resumed import resume
from tapewire.simulators.source_strings import parse_source

ANY_KEY: Final = "any-key-will-do"


def build(asked: Asked) -> MassiveSimulator:
    """The simulator, not started; SourceError or FaultError (exit code 2)."""
    texts = sources_of(asked.sources, asked.seed, asked.began_ms)
    return MassiveSimulator(
        resume([parse_source(text) for text in texts], asked.begin.skipped_ms),
        speed=asked.speed,
        once=asked.once,
        key=asked.key,
        faults=asked.faults,
        port=asked.port,
        rest_port=asked.rest_port,
        head_start_ms=asked.begin.at_once_ms,
        delay_ms=DELAY_MS if asked.delayed else 0,
    )


def playing(simulator: MassiveSimulator, asked: Asked) -> Playing:
    """What there is to tell once it listens."""
    environment = {
        "MASSIVE_FEED": simulator.ws_url,
        "MASSIVE_REST_URL": simulator.rest_url,
        "MASSIVE_API_KEY": asked.key or ANY_KEY,
    }
    return Playing(
        "Massive",
        f"{simulator.ws_url}/stocks",
        simulator.rest_url,
        simulator.source.name,
        environment,
        simulator.source.notes,
        "a listener and the reference service",
    )
