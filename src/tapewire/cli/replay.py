"""``tapewire replay``: recorded events the whole way, from provider's frames to WDC.

``--queue memory`` runs simulator, listener and processor in this process; ``rabbitmq``
runs each as a process of its own. It loses nothing at any speed unless ``--ttl`` asks for
live behaviour, begins with an empty result, and ends when everything is flushed and every
candle closed.
"""

from typing import Annotated

import typer

from tapewire.cli import edge
from tapewire.cli.options import Conditions, Delayed, Json, QueueKind, SourceArguments, Speed

Shards = Annotated[
    int, typer.Option("--shards", min=1, max=64, metavar="N", help="Shards of each stream.")
]
Processors = Annotated[
    int, typer.Option("--processors", min=1, max=64, metavar="N", help="Processor processes.")
]
Ttl = Annotated[
    int | None,
    typer.Option(
        "--ttl",
        min=1,
        metavar="MS",
        help="Behave as live: batches expire after MS, losses become gaps. Default: lose"
        " nothing at any speed.",
    ),
]


def replay(
    source: SourceArguments,
    queue: Annotated[
        QueueKind, typer.Option("--queue", help="memory: one process; rabbitmq: one each.")
    ] = QueueKind.MEMORY,
    shards: Shards = 1,
    processors: Processors = 1,
    speed: Speed = "max",
    conditions: Annotated[
        Conditions, typer.Option("--conditions", help="Which trades count for candles.")
    ] = Conditions.MASSIVE,
    ttl: Ttl = None,
    delayed: Delayed = False,
    json: Json = False,
) -> None:
    """Play recorded events the whole way: socket, queue, processor, Redis."""
    from tapewire.cli.replay_plan import ReplayOptions
    from tapewire.cli.replaying import run_replay
    from tapewire.runtime.runner import run_async

    options = ReplayOptions(
        sources=tuple(source),
        queue=queue,
        shards=shards,
        processors=processors,
        speed=speed,
        conditions=conditions,
        ttl_ms=ttl,
        delayed=delayed,
    )
    options.check()
    loaded = edge.load({"candle_conditions": conditions.value})
    raise typer.Exit(run_async(run_replay(options, loaded, json=json)))
