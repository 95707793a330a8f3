"""Every URL of the server, on one screen."""

from aiohttp import web

from .http import cors, event_stream, operations, pages, scripts, sessions, websocket
from .legacy import handlers

#: Matches any text, even with line ends (``%0A`` in an address), which a dot does not match.
_ANY = r"[\s\S]*"


def add_routes(app: web.Application) -> None:
    """Add the routes of all addresses to *app*."""
    app.add_routes(
        [
            web.get("/", pages.index),
            web.get("/embed", pages.embed),
            web.get("/static/{name:rpa-.*}", scripts.file),
            web.get("/static/{name:.*}", pages.static),
            # the deployed API; listed before /rpa/{session}, since some of these names could be session ids
            web.route("*", f"/api/rpa{{path:(?:/{_ANY})?}}", handlers.api),
            web.route("*", f"/rpa/{{path:(?:{'|'.join(handlers.RESERVED)})(?:/{_ANY})?}}", handlers.api),
            web.route("*", f"/progress{{path:(?:/{_ANY})?}}", handlers.api),
            web.route("*", "/health{path:/?}", handlers.api),
            *cors.shared([web.get("/get_progress.php", handlers.full_progress)], handlers.preflight),
            *cors.shared([web.get("/get_progress_completo.php", handlers.full_progress)], handlers.preflight),
            *cors.shared([web.get("/get_progress_fixed.php", handlers.full_progress)], handlers.preflight),
            *cors.shared([web.get("/progress_sse.php", handlers.progress_events)], handlers.preflight),
            # the native API
            web.get("/rpa/{session}", websocket.websocket),
            web.get("/api/sessions", sessions.list_sessions),
            web.post("/api/sessions/{session}/events", sessions.publish),
            *cors.shared([web.get("/events/{session}", event_stream.events)]),
            *cors.shared([web.get("/api/sessions/{session}", sessions.poll)]),
            # more addresses: those in the plan that this project began with, and one that deployed pages load
            web.get("/ws/rpa/{session}", websocket.websocket),
            web.get("/session/{session}", websocket.websocket),
            *cors.shared([web.get("/rpa_progress_sse.php", event_stream.plain_events)]),
            web.get(r"/webflow_progress_tracker{rest:(?:-\d[\w.+-]*)?\.js(?:on)?}", scripts.tracker),
            # for operators
            web.get("/health/live", operations.live),
            web.get("/health/ready", operations.ready),
            web.get("/metrics", operations.metrics),
            web.get("/status", operations.status),
        ]
    )
