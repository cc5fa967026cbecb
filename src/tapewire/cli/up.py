"""``tapewire up``: everything on this machine, one command, and the dashboard's address."""

from enum import StrEnum
from typing import Annotated

import typer

from tapewire.cli.options import Sources, Speed
from tapewire.runtime.service import UsageError


class Feed(StrEnum):
    """Where the data of ``tapewire up`` comes from."""

    SIMULATOR = "simulator"
    MASSIVE_SIMULATOR = "simulator:massive"
    LIVE = "live"


def up(
    feed: Annotated[
        Feed, typer.Option("--feed", help="simulator: made-up market, no key; live: Massive.")
    ] = Feed.SIMULATOR,
    source: Sources = None,
    speed: Speed = "original",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65535,
            metavar="N",
            help="Port of the dashboard; default: 8000, or the next free one.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="H", help="Address to listen on: this machine's own.")
    ] = "127.0.0.1",
) -> None:
    """Start everything on this machine and print the dashboard's address; Ctrl-C ends it."""
    if feed is Feed.LIVE and source:
        raise UsageError("--source is what a simulator plays; --feed live has the provider's data")
    from tapewire.cli.clock import wall_ms
    from tapewire.cli.edge import load_for_foreground
    from tapewire.cli.up_parts import UpPlan, what_is_played
    from tapewire.cli.up_service import run_up
    from tapewire.runtime.loopback import check_host

    settings = load_for_foreground().settings
    if feed is Feed.LIVE and settings.massive_api_key is None:
        raise UsageError(
            "--feed live needs a key of Massive: set MASSIVE_API_KEY. Without --feed live a"
            " simulated market is played, which needs none"
        )
    now_ms = wall_ms()
    plan = UpPlan(
        settings=settings,
        played=None if feed is Feed.LIVE else what_is_played(source, now_ms),
        speed=speed,
        port=port,
        host=check_host(host),
        began_ms=now_ms,
    )
    raise typer.Exit(run_up(plan))
