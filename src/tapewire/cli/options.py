"""Options that several commands share, spelled once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Provider(StrEnum):
    """Where market data comes from."""

    MASSIVE = "massive"
    BROKERS = "brokers"
    UPSTOX = "upstox"
    FYERS = "fyers"
    DHAN = "dhan"


class MarketName(StrEnum):
    """Whose boards and rankings."""

    US = "us"
    INDIA = "in"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


class QueueKind(StrEnum):
    """Where batches wait."""

    MEMORY = "memory"
    RABBITMQ = "rabbitmq"


class Conditions(StrEnum):
    """Which trade conditions count for candles."""

    MASSIVE = "massive"
    REGULAR = "regular"


def _speed(text: str) -> str:
    """Check a speed's spelling where the option is read."""
    from tapewire.simulators.pacing import Speed

    try:
        Speed.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return text


Delayed = Annotated[
    bool,
    typer.Option("--delayed", help="Send everything 15 minutes late, as the delayed feed does."),
]
Symbol = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="A ticker such as AIG, or NSE_EQ:2885.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
MarketOption = Annotated[MarketName, typer.Option("--market", help="us, or in for India.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on and show every change.")]
ProviderOption = Annotated[
    Provider,
    typer.Option(
        "--provider", help="massive; brokers: those of BROKERS, one at a time; or one of them."
    ),
]
Streams = Annotated[
    str | None,
    typer.Option(
        "--streams",
        metavar="LIST",
        help="Streams to carry, such as trades,aggregate; default: those subscribed.",
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        min=1,
        max=64,
        metavar="N",
        help="Shards of each stream; default: TAPEWIRE_SHARDS.",
    ),
]
Processors = Annotated[
    int | None,
    typer.Option(
        "--processors",
        min=1,
        max=64,
        metavar="N",
        help="Processors that share the shards; default: PARALLELISM.",
    ),
]
Index = Annotated[
    int | None,
    typer.Option("--index", min=0, max=63, metavar="K", help="Which of the instances this is."),
]
Http = Annotated[Switch, typer.Option("--http", help="Health and metrics over HTTP.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="generator[:name=value,...], lean:PATH, flatfile:PATH or capture:PATH; may be"
        " repeated, and is then merged by time. Default: generator.",
    ),
]
SourceArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="generator[:name=value,...], lean:PATH, flatfile:PATH, capture:PATH, or a path.",
    ),
]
Speed = Annotated[
    str,
    typer.Option(
        "--speed", metavar="max|original|xN|N/s", callback=_speed, help="How fast it is played."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of the generated market.")
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="K", help="The only key accepted; default: any.")
]
Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="NAME[@N]",
        help="Make a fault happen after N events (drop, mute, kick, bad_key, ...); may be"
        " repeated.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", metavar="FILE", dir_okay=False, help="The file to write.")
]
