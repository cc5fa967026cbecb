"""``tapewire status``: every living service of the deployment, as it reports itself."""

import asyncio
import sys

from tapewire.cli.options import Json


def status(json: Json = False) -> None:
    """Show every service: state, health, rates, lag, gaps, drops, queues.

    From the registry at MDC_REDIS_URL, else from the embedded server.
    """
    from tapewire.cli.edge import load
    from tapewire.cli.output import Column, Printer, Style
    from tapewire.cli.stores import reports

    columns = (
        Column("service", "service"),
        Column("instance", "instance"),
        Column("state", "state"),
        Column("healthy", "healthy", Style.FLAG),
        Column("since_ms", "since", Style.DATE_TIME),
        Column("rates", "a second", Style.PAIRS, wraps=True),
        Column("lag_ms", "lag", Style.DURATION),
        Column("gaps", "lost", Style.PAIRS, wraps=True),
        Column("drops", "dropped", Style.PAIRS, wraps=True),
        Column("queues", "waiting", Style.PAIRS, wraps=True),
        Column("reason", "why", wraps=True),
    )
    found = asyncio.run(reports(load().settings))
    if not found:
        sys.stderr.write("tapewire: no service has reported in the last 10 seconds\n")
        return
    Printer.for_stdout(json=json).rows(found, columns)
