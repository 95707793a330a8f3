"""Normalises what robots pass to the tracker: two styles of positional arguments, and any object as text or JSON.

Pure, and nothing in here raises, whatever the robot's objects do.
"""

from typing import Any

from .. import safejson


def sort_out(
    total: int | str, files: Any, session_id: str | None, client: Any
) -> tuple[int, bool, str | None, Any]:
    """Interpret the positional arguments of ProgressTracker, which come in two styles.

    Returns:
        Number of steps, whether to write files, session id, Redis client.
    """
    if not isinstance(files, (bool, int)) and files is not None:
        client, files = (client if client is not None else files), True
    if isinstance(total, str):
        session_id, total = (total if session_id is None else session_id), 15
    try:
        number = int(total)
    except Exception:  # whatever __int__ does
        number = 15
    return number, files is None or bool(files), session_id, client


def message(mensagem: Any, etapa: Any) -> str:
    """Return the text for the visitor: *mensagem*, or ``Etapa <n>`` if the robot gave none."""
    if mensagem is None or (isinstance(mensagem, str) and not mensagem):
        return f"Etapa {text_of(etapa)}"
    return text_of(mensagem)


def text_of(value: Any) -> str:
    """Return ``str(value)``, or the name of its type if that is empty or fails."""
    try:
        return str(value) or type(value).__name__
    except Exception:  # a robot's __str__ may raise anything
        return type(value).__name__


def plain_object(value: Any) -> dict[str, Any] | None:
    """Copy what the robot passed as plain JSON, because it may change its own objects afterwards.

    Returns:
        An object; any other value is wrapped in one, under ``dados``.
    """
    if value is None:
        return None
    plain = safejson.plain(value)
    return plain if isinstance(plain, dict) else {"dados": plain}
