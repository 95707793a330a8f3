"""Messages as bytes on a socket: WebSocket frames, server-sent events, HTTP chunks.

Pure. Frames go from server to client: unmasked, unfragmented, uncompressed, so the same bytes serve
every client (RFC 6455, section 5.2). The event stream is that of the HTML standard, section 9.2.
"""

from typing import Any

from . import wirejson
from .events import Cursor, Update

_MARK = b'"estimativas":'


def ws_text(payload: bytes) -> bytes:
    """Wrap *payload* in one WebSocket text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def ws_control(opcode: int, payload: bytes = b"") -> bytes:
    """Make a control frame; *payload* is at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def ws_pong(payload: bytes) -> bytes:
    """Make the answer to a ping."""
    return ws_control(0xA, payload)


def ws_close(code: int, reason: str) -> bytes:
    """Make a close frame."""
    return ws_control(0x8, code.to_bytes(2, "big") + reason.encode())


def sse_event(payload: bytes, cursor: Cursor | None) -> bytes:
    """Wrap *payload* (one line) in an unnamed event, with the cursor as its id where there is one."""
    return b"%b%b\n\n" % (_event_head(*(cursor or (None, 0))), payload)


def _event_head(epoch: str | None, seq: int) -> bytes:
    """Return what stands before the payload of an event."""
    return b"data: " if epoch is None else b"id: %b:%d\ndata: " % (epoch.encode(), seq)


def chunk(payload: bytes) -> bytes:
    """Wrap *payload* in one chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


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
        head, raw = _event_head(update.epoch, update.seq), update.raw
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
    return ws_text(wirejson.dumps(message))


def with_names(estimates: dict[str, Any]) -> dict[str, Any]:
    """Copy estimates so that every item has both ``nome`` and ``nome_cobertura``."""
    items = estimates.get("coberturas_detalhadas")
    if not isinstance(items, list):
        return estimates
    return {**estimates, "coberturas_detalhadas": [_named(item) for item in items]}


def _named(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    name = item.get("nome") or item.get("nome_cobertura") or ""
    return {**item, "nome": name, "nome_cobertura": item.get("nome_cobertura") or name}
