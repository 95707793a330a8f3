"""What keeps viewers true when a message was lost on the way: a look at the positions, now and then.

Pub/sub forgets, and a subscription may be deaf for seconds before that is noticed. So the position of every
session that somebody watches is compared with the store's, and one that is behind reads again.
"""

import asyncio

from .errors import StorageUnavailable
from .events import Cursor
from .hub import Hub
from .session import Session
from .stores.redis import RedisStore

CHECK_S = 2.0
_AT_ONCE = 500


async def check_positions(hub: Hub, store: RedisStore) -> None:
    """Compare, for ever."""
    while True:
        await asyncio.sleep(CHECK_S)
        watched = hub.watched()
        for start in range(0, len(watched), _AT_ONCE):
            await _check(watched[start : start + _AT_ONCE], store)


async def _check(sessions: list[Session], store: RedisStore) -> None:
    for session in sessions:
        if not session.loaded:
            session.changed()
    try:
        held = await store.positions([session.session_id for session in sessions])
    except StorageUnavailable:
        return
    for session in sessions:
        cursor = held.get(session.session_id)
        if cursor is not None and _further(cursor, session.cursor):
            session.changed()


def _further(cursor: Cursor, known: Cursor | None) -> bool:
    return known is None or cursor.epoch != known.epoch or cursor.seq > known.seq
