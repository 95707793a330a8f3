"""Every URL of the server, on one screen."""

from aiohttp import web

from . import cors
from .handlers import operations, page, sessions, sse, websocket


def add_routes(app: web.Application) -> None:
    """Connect addresses with handlers."""
    app.add_routes(
        [
            web.get("/", page.index),
            web.get("/static/{name:.*}", page.static),
            # native
            web.get("/rpa/{session}", websocket.websocket),
            web.get("/api/sessions", sessions.listing),
            web.post("/api/sessions/{session}/events", sessions.publish),
            *cors.shared([web.get("/events/{session}", sse.events)]),
            *cors.shared([web.get("/api/sessions/{session}", sessions.poll)]),
            # the plan's and the deployed names
            web.get("/ws/rpa/{session}", websocket.websocket),
            web.get("/session/{session}", websocket.websocket),
            *cors.shared([web.get("/rpa_progress_sse.php", sse.plain_events)]),
            # operations
            web.get("/health/live", operations.live),
            web.get("/health/ready", operations.ready),
            web.get("/metrics", operations.metrics),
            web.get("/status", operations.status),
        ]
    )
