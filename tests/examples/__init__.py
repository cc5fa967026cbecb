"""The packages in ``examples/``: installed as a user would, run as a user would."""
