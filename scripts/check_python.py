"""Say clearly why an interpreter cannot run Tapewire. Must run on any Python 3."""

import importlib.util
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Tapewire needs Python 3.11 or later, %s is %d.%d: call make PYTHON=python3.11"
        % (sys.executable, *sys.version_info[:2])
    )
if importlib.util.find_spec("ensurepip") is None:
    sys.exit(
        "%s cannot make virtual environments; on Debian: apt-get install python3-venv"
        % sys.executable
    )
