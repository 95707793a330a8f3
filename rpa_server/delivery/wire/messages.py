"""Messages as bytes on a socket: WebSocket frames, server-sent events, HTTP chunks.

Pure. Frames go from server to client: unmasked, unfragmented, uncompressed, so the same bytes serve
every client (RFC 6455, section 5.2). The event stream is that of the HTML standard, section 9.2.
"""


from ... import safejson
from ...progress.snapshot import with_names
from ...progress.update import Update
from .sse import event_head, sse_event
from .websocket import ws_text

_MARK = b'"estimativas":'
















def ws(update: Update) -> bytes:
    """Return the WebSocket frame of *update*, encoded at the first call."""
    if update.ws is None:
        update.ws = ws_text(update.raw)
    return update.ws


def sse(update: Update) -> bytes:
    """Return the event of *update*, not yet wrapped in a chunk, encoded at the first call."""
    if update.sse is None:
        update.sse = sse_event(update.raw, update.cursor)
    return update.sse


def sse_chunk(update: Update) -> bytes:
    """Return the event of *update* in a chunk, encoded at the first call."""
    if update.sse_chunk is None:
        # chunk(sse(update)) in one step: where every page has a run of its own, this is on the way of each update.
        head, raw = event_head(update.epoch, update.seq), update.raw
        update.sse_chunk = b"%x\r\n%b%b\n\n\r\n" % (len(head) + len(raw) + 2, head, raw)
    return update.sse_chunk


def plain_ws(update: Update) -> bytes:
    """Return the frames of the plain dialect: the update, then its estimates where it brings some."""
    if update.plain_ws is None:
        update.plain_ws = ws(update) + _plain_estimates(update)
    return update.plain_ws


def _plain_estimates(update: Update) -> bytes:
    """Build the second frame of the plain dialect, empty where the update brings no estimates.

    The page scripts of the plan print ``cobertura.nome``; the deployed robot writes ``nome_cobertura``.
    """
    if _MARK not in update.raw:
        return b""
    estimates = update.data.get("estimativas")
    if not isinstance(estimates, dict):
        return b""
    message = {"type": "estimativas", "estimativas": with_names(estimates)}
    for key in ("epoch", "seq"):
        if key in update.data:
            message[key] = update.data[key]
    return ws_text(safejson.dumps(message))




