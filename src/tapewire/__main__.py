"""``python -m tapewire``: the same as the ``tapewire`` command."""

from tapewire.cli import main

if __name__ == "__main__":
    main()
