"""Say clearly why an interpreter cannot run Tapewire. Must run on any Python 3."""

import importlib.util
import sys

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        "Tapewire needs Python 3.11 or later; " + sys.executable + " is " + found + ". "
        "Name another one: make PYTHON=python3.11"
    )
if importlib.util.find_spec("ensurepip") is None:
    sys.exit(sys.executable + " cannot make .venv; on Debian: apt-get install python3-venv")
