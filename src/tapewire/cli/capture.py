"""``tapewire capture`` and ``tapewire flatfile``: what came, and what is played, as files."""

from pathlib import Path
from typing import Annotated

import typer

from tapewire.cli.options import Json

CaptureFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        dir_okay=False,
        help="The capture to write; default: massive-DATE-TIME.twcap here.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=0.1, metavar="N", help="Stop after so long; default: Ctrl-C."),
]
Folder = Annotated[
    Path, typer.Option("--output", metavar="FOLDER", help="Folder for the files.", file_okay=False)
]


def capture(output: CaptureFile = None, seconds: Seconds = None, json: Json = False) -> None:
    """Connect as a listener would and record every frame as it comes."""
    from tapewire.cli.capture_service import run_capture
    from tapewire.cli.edge import load_for_foreground

    raise typer.Exit(run_capture(load_for_foreground().settings, output, seconds, json=json))


def flatfile(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="generator[:...], lean:PATH, flatfile:PATH."),
    ],
    output: Folder,
    json: Json = False,
) -> None:
    """Write a source's trades and quotes in the layout of Massive's own flat files."""
    from tapewire.cli.output import Column, Printer, Style
    from tapewire.runtime.service import UsageError
    from tapewire.simulators.flatfile import write_flat_files
    from tapewire.simulators.source_strings import parse_source

    try:
        paths = write_flat_files(parse_source(source), output)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists already; choose another --output") from error
    columns = (Column("file", "file"), Column("bytes", "bytes", Style.COUNT))
    rows = [{"file": str(path), "bytes": path.stat().st_size} for path in paths]
    Printer.for_stdout(json=json).rows(rows, columns)
