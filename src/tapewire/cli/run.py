"""``tapewire run``: one service in this process, or several processors under a manager."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tapewire.cli.options import (
    Http,
    Index,
    Processors,
    Provider,
    ProviderOption,
    Shards,
    Streams,
    Switch,
)


class Part(StrEnum):
    """The services."""

    LISTENER = "listener"
    PROCESSOR = "processor"
    REFERENCE = "reference"
    WIDGETS = "widgets"
    CONTROL = "control"


Capture = Annotated[
    Path | None,
    typer.Option(
        "--capture", metavar="FILE", dir_okay=False, help="Listener: also record raw frames here."
    ),
]
Once = Annotated[bool, typer.Option("--once", hidden=True)]
Lossless = Annotated[bool, typer.Option("--lossless", hidden=True)]


def run(
    service: Annotated[Part, typer.Argument(help="What to run.")],
    provider: ProviderOption = Provider.MASSIVE,
    streams: Streams = None,
    shards: Shards = None,
    processors: Processors = None,
    index: Index = None,
    http: Http = Switch.ON,
    capture: Capture = None,
    lossless: Lossless = False,
    once: Once = False,
) -> None:
    """Run a service: servers from RABBITMQ_URL, MDC_REDIS_URL and WDC_REDIS_URL.

    Without --index, as many processors as PARALLELISM says run under a process manager.
    """
    from tapewire.cli import services
    from tapewire.cli.edge import load_for_service

    options = {"tapewire_shards": shards, "parallelism": processors}
    settings = load_for_service(options, service=service, instance=str(index or 0)).settings
    plan = services.Plan.of(
        settings,
        service,
        streams,
        index=index,
        http=http is Switch.ON,
        provider=provider,
        capture=capture,
        lossless=lossless,
        once=once,
    )
    code = services.run_processors(plan, provider) if plan.is_many else services.run_one(plan)
    raise typer.Exit(code)


def core(
    after_port: Annotated[int | None, typer.Option("--after-port")] = None,
    date: Annotated[str | None, typer.Option("--date")] = None,
    provider: ProviderOption = Provider.MASSIVE,
) -> None:
    """Run the data path in one process over the embedded server; ``tapewire up`` does."""
    from tapewire.cli.core import run_core

    raise typer.Exit(run_core(after_port, date, provider))
