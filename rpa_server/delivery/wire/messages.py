"""The messages other than updates, as JSON: first message and reset, native and in the plan's dialect, and estimates.

Pure. The plan is the project's first design; pages that were written for it still work. delivery/websocket.py and
delivery/event_stream.py send these messages as frames and as events.
"""

from ... import safejson
from ...errors import BadDocument
from ...progress.coverages import with_names
from ...progress.shapes import ResetMessage, SyncMessage
from ...progress.snapshot import NO_AGES
from ...progress.update import Update
from .welcome import Welcome

#: Only updates that contain these bytes are parsed for estimates.
_ESTIMATES_KEY = b'"estimativas":'


def sync_message(welcome: Welcome) -> bytes:
    """Build the first message of a native stream, once for all clients that share *welcome*."""
    encoded = welcome.messages.get("sync")
    if encoded is None:
        epoch, seq = welcome.at or (None, 0)
        message: SyncMessage = {
            "type": "sync",
            "session_id": welcome.session_id,
            "epoch": epoch,
            "seq": seq,
            "recovered": welcome.recovered,
            "snapshot": welcome.snapshot,
            "idade_ms": welcome.ages.idade_ms,
            "duracao_ms": welcome.ages.duracao_ms,
            "heartbeat_ms": welcome.heartbeat_ms,
        }
        encoded = welcome.messages["sync"] = safejson.dumps(message)
    return encoded


def reset_message(welcome: Welcome) -> bytes:
    """Build the message that replaces a client's state after lost continuity, once for all that share *welcome*."""
    encoded = welcome.messages.get("reset")
    if encoded is None:
        epoch, seq = welcome.at or (None, 0)
        message: ResetMessage = {
            "type": "reset",
            "session_id": welcome.session_id,
            "epoch": epoch,
            "seq": seq,
            "snapshot": welcome.snapshot,
        }
        encoded = welcome.messages["reset"] = safejson.dumps(message)
    return encoded


def plain_message(welcome: Welcome) -> bytes | None:
    """Build an update in the plan's shape that contains the current state, None if nothing is known."""
    view = welcome.snapshot
    if view is None:
        return None
    message = {
        "type": "progress_update",
        **{key: value for key, value in view.items() if key not in NO_AGES._fields},
        "etapa": view["etapa_atual"],
        "timestamp": view["timestamp_atualizacao"],
    }
    for milestone in ("estimativas", "resultado"):
        if message[milestone] is None:
            del message[milestone]
    return safejson.dumps(message)


def estimates_message(update: Update) -> bytes | None:
    """Build the extra message of the plan's dialect for an update with estimates, None for any other update.

    The page scripts of the plan print ``cobertura.nome``, but the deployed robot writes ``nome_cobertura``: the message
    has both.
    """
    if _ESTIMATES_KEY not in update.raw:
        return None
    try:
        data = update.data
    except BadDocument:  # it only begins like an update: nobody parses it before it is delivered
        return None
    estimates = data.get("estimativas")
    if not isinstance(estimates, dict):
        return None
    message = {"type": "estimativas", "estimativas": with_names(estimates)}
    for key in ("epoch", "seq"):
        if key in data:
            message[key] = data[key]
    return safejson.dumps(message)
