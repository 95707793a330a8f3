"""rpa-server: shows on web pages, live, what a robot is doing.

``python -m aiohttp.web rpa_server:create_app`` starts the server. Robots import ``rpa_server.tracker``, which runs this
module first, so nothing heavy is imported here.
"""

from typing import Any

from .assets import __version__

__all__ = ["__version__", "create_app"]


def create_app(argv: list[str] | None = None) -> Any:
    """Build the ``aiohttp.web.Application``; see rpa_server.app.create_app."""
    from .app import create_app as create

    return create(argv)
