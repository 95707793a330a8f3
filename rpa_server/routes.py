"""Every URL of the server, on one screen."""

from aiohttp import web

from .handlers import embed, operations, page, sessions, sse, websocket


def add_routes(app: web.Application) -> None:
    """Connect addresses with handlers."""
    app.add_routes(
        [
            web.get("/", page.index),
            web.get("/embed", embed.show),
            web.get("/static/{name:rpa-.*}", embed.file),
            web.get("/static/{name:.*}", page.static),
            # native
            web.get("/rpa/{session}", websocket.websocket),
            web.get("/events/{session}", sse.events),
            web.get("/api/sessions", sessions.listing),
            web.get("/api/sessions/{session}", sessions.poll),
            web.post("/api/sessions/{session}/events", sessions.publish),
            # the plan's and the deployed names
            web.get("/ws/rpa/{session}", websocket.websocket),
            web.get("/session/{session}", websocket.websocket),
            web.get("/rpa_progress_sse.php", sse.plain_events),
            web.get("/webflow_progress_tracker.{kind:js|css|json}", embed.tracker),
            # operations
            web.get("/health/live", operations.live),
            web.get("/health/ready", operations.ready),
            web.get("/metrics", operations.metrics),
            web.get("/status", operations.status),
        ]
    )
