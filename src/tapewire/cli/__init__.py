"""The command line: the one place that composes a running system out of its parts.

``app.py`` has the commands and the way out, ``compose.py`` and ``composed.py`` put services
together, ``output.py`` prints; each other module is one command or one family of commands.
Heavy imports stay inside the functions that need them, so that help and mistakes are quick.
"""

from tapewire.cli.app import main

__all__ = ["main"]
