"""Normalises what robots pass to the tracker: two styles of positional arguments, and any object as text or JSON.

Pure. No function in here raises, even if a method of a robot's object does.
"""

from typing import Any

from .. import safejson


def sort_out(total: int | str, files: Any, session_id: str | None, client: Any) -> tuple[int, bool, str | None, Any]:
    """Interpret the positional arguments of ProgressTracker, which come in two styles.

    Args:
        total: the number of steps or, in the plan's style, the session id.
        files: whether to write files or, in the plan's style, the Redis client.
        session_id, client: the arguments ``session_id`` and ``redis_client``; they win over *total* and *files*.

    Returns:
        Number of steps, whether to write files, session id, Redis client.
    """
    if not isinstance(files, (bool, int)) and files is not None:
        client, files = (client if client is not None else files), True
    if isinstance(total, str):
        session_id, total = (total if session_id is None else session_id), 15
    try:
        number = int(total)
    except Exception:  # a robot's __int__ may raise anything
        number = 15
    return number, files is None or bool(files), session_id, client


def message(mensagem: Any, etapa: Any) -> str:
    """Return the text for the visitor: *mensagem*, or ``Etapa <etapa>`` if *mensagem* is None or empty."""
    if mensagem is None or (isinstance(mensagem, str) and not mensagem):
        return f"Etapa {text_of(etapa)}"
    return text_of(mensagem)


def text_of(value: Any) -> str:
    """Return ``str(value)``, or the name of the value's type if ``str()`` returns an empty text or fails."""
    try:
        return str(value) or type(value).__name__
    except Exception:  # a robot's __str__ may raise anything
        return type(value).__name__


def plain_object(value: Any) -> dict[str, Any] | None:
    """Copy what the robot passed as plain JSON, because the robot may change its own objects afterwards.

    Returns:
        A dict; any other value is wrapped as ``{"dados": value}``. None for None.
    """
    if value is None:
        return None
    plain = safejson.plain(value)
    return plain if isinstance(plain, dict) else {"dados": plain}
