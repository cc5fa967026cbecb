"""``tapewire``: the commands, and the one way out of each of them."""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from tapewire import __version__
from tapewire.cli import (
    candles,
    capture,
    config,
    dump,
    happenings,
    quote,
    reference,
    replay,
    run,
    sessions,
    simulate,
    status,
    top,
    top_trades,
    trades,
    up,
)
from tapewire.cli.errors import FAILED, INTERRUPTED, report
from tapewire.runtime.parent import watch_parent

app = typer.Typer(
    name="tapewire",
    help="Market data platform: one provider socket in; leaderboards, candles and quotes out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.command("up")(up.up)
app.command("run")(run.run)
app.command("core", hidden=True)(run.core)
app.command("simulate")(simulate.simulate)
app.command("replay")(replay.replay)
app.command("candles")(candles.candles)
app.command("top")(top.top)
app.command("quote")(quote.quote)
app.command("trades")(trades.trades)
app.command("top-trades")(top_trades.top_trades)
app.command("prints")(top_trades.prints)
app.command("alerts")(happenings.alerts)
app.command("halts")(happenings.halts)
app.command("reference")(reference.reference)
app.command("dump")(dump.dump)
app.command("status")(status.status)
app.command("sessions")(sessions.sessions)
app.command("capture")(capture.capture)
app.command("flatfile")(capture.flatfile)
app.command("config")(config.config)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tapewire {__version__}\n")
        raise typer.Exit


@app.callback()
def _tapewire(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Market data platform: one provider socket in; leaderboards, candles and quotes out."""


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code (``errors.py`` has the table)."""
    try:
        code = typer.main.get_command(app).main(
            args=arguments, prog_name="tapewire", standalone_mode=False
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return FAILED
    except Exception as error:  # noqa: BLE001 - the edge: every error becomes a line and a code
        return report(error)
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """The ``tapewire`` command."""
    watch_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    code = execute()
    if code == FAILED:
        _discard_output()
    sys.exit(code)


def _interrupt(*_: object) -> None:
    """End like Ctrl-C, so that what a command started is stopped. Services have their own way."""
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Keep the interpreter's last flush from complaining about a reader that went away."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = None
