"""``python -m rpa_server`` is ``rpa-server``."""

from .cli.commands import main

if __name__ == "__main__":
    main()
