"""WebSocket frames from server to client.

Pure. Frames are unmasked, unfragmented and uncompressed, so the same bytes serve every client (RFC 6455, section 5.2).
"""

from ...progress.update import Update
from .messages import estimates_message


def ws_text(payload: bytes) -> bytes:
    """Encode *payload* as one text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def ws_control(opcode: int, payload: bytes = b"") -> bytes:
    """Encode a control frame; *payload* is at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def ws_pong(payload: bytes) -> bytes:
    """Encode the answer to a ping."""
    return ws_control(0xA, payload)


def ws_close(code: int, reason: str) -> bytes:
    """Encode a close frame."""
    return ws_control(0x8, code.to_bytes(2, "big") + reason.encode())


def update_frame(update: Update) -> bytes:
    """Encode *update* as a frame."""
    return ws_text(update.raw)


def plain_frames(update: Update) -> bytes:
    """Encode *update* in the plan's dialect: one frame for it, and one for its estimates if it brings some."""
    estimates = estimates_message(update)
    return ws_text(update.raw) if estimates is None else ws_text(update.raw) + ws_text(estimates)
