"""``python -m rpa_server`` is ``rpa-server``."""

from .cli import main

if __name__ == "__main__":
    main()
