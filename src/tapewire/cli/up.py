"""``tapewire up``: everything on this machine, one command, and the dashboard's address."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tapewire.cli.options import Sources, Speed
from tapewire.runtime.service import UsageError

if TYPE_CHECKING:
    from tapewire.cli.up_parts import Played
    from tapewire.runtime.settings import Settings


class Feed(StrEnum):
    """Where the data of ``tapewire up`` comes from."""

    SIMULATOR = "simulator"
    MASSIVE_SIMULATOR = "simulator:massive"
    UPSTOX_SIMULATOR = "simulator:upstox"
    FYERS_SIMULATOR = "simulator:fyers"
    DHAN_SIMULATOR = "simulator:dhan"
    LIVE = "live"
    BROKERS = "brokers"

    @property
    def is_live(self) -> bool:
        """Whether it is a provider's own, not made up."""
        return self in (Feed.LIVE, Feed.BROKERS)

    @property
    def broker(self) -> str:
        """The simulated broker; empty for others."""
        simulated = self.value.partition(":")[2]
        return "" if simulated == "massive" else simulated


Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65535,
        metavar="N",
        help="Port of the dashboard; default: 8000, or the next free one.",
    ),
]
Host = Annotated[
    str, typer.Option("--host", metavar="H", help="Address to listen on: this machine's own.")
]


def up(
    feed: Annotated[
        Feed,
        typer.Option(
            "--feed",
            help="simulator: made-up market, no key; of Massive, or an Indian broker's."
            " live: Massive. brokers: those of BROKERS.",
        ),
    ] = Feed.SIMULATOR,
    source: Sources = None,
    speed: Speed = "original",
    port: Port = None,
    host: Host = "127.0.0.1",
) -> None:
    """Start everything on this machine and print the dashboard's address; Ctrl-C ends it."""
    from tapewire.cli.clock import wall_ms
    from tapewire.cli.edge import load_for_foreground
    from tapewire.cli.up_parts import UpPlan
    from tapewire.cli.up_service import run_up
    from tapewire.cli.wiring import ALL_BROKERS, MASSIVE
    from tapewire.runtime.loopback import check_host

    settings = load_for_foreground().settings
    check_feed(feed, source, settings)
    now_ms = wall_ms()
    plan = UpPlan(
        settings=settings,
        played=None if feed.is_live else _played(feed, source, now_ms),
        speed=speed,
        port=port,
        host=check_host(host),
        began_ms=now_ms,
        provider=ALL_BROKERS if feed is Feed.BROKERS or feed.broker else MASSIVE,
    )
    raise typer.Exit(run_up(plan))


def _played(feed: Feed, source: Sequence[str] | None, now_ms: int) -> "Played":
    from tapewire.cli.up_parts import what_a_broker_plays, what_is_played

    if feed.broker:
        return what_a_broker_plays(feed.broker, source, now_ms)
    return what_is_played(source, now_ms)


def check_feed(feed: Feed, source: Sequence[str] | None, settings: "Settings") -> None:
    """UsageError when a feed lacks what it needs, or is given what it has no use for."""
    if feed.is_live and source:
        raise UsageError(
            f"--source is what a simulator plays; --feed {feed} has the provider's data"
        )
    if feed is Feed.LIVE and settings.massive_api_key is None:
        raise UsageError(
            "--feed live needs a key of Massive: set MASSIVE_API_KEY. Without --feed live a"
            " simulated market is played, which needs none"
        )
    if feed is Feed.BROKERS and not settings.broker_instruments:
        raise UsageError(
            "--feed brokers needs something to subscribe to: set BROKER_INSTRUMENTS to a list"
            " such as NIFTY,RELIANCE,NIFTY-I, or to a file with one on each line"
        )
