"""``tapewire config``: every setting, its value here and now, and where it came from."""

from tapewire.cli.options import Json


def config(json: Json = False) -> None:
    """Show the effective settings and where each comes from; secrets are hidden."""
    from tapewire.cli.edge import load
    from tapewire.cli.output import Column, Printer

    columns = (
        Column("name", "setting"),
        Column("value", "value"),
        Column("source", "from"),
        Column("help", "what it is", wraps=True),
    )
    Printer.for_stdout(json=json).rows(load().effective(), columns)
