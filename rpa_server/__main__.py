"""Runs the command ``rpa-server`` for ``python -m rpa_server``."""

from .cli.commands import main

if __name__ == "__main__":
    main()
