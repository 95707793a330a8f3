"""A run in the terminal, live, over the native WebSocket."""

import asyncio
import random
from typing import Any

import aiohttp
import click

from .. import safejson
from ..backoff import delay
from ..delivery.wire.handshake import PROTOCOL
from ..errors import BadDocument

_FINAL_CODES = range(4400, 4500)


class Watcher:
    """Follows one session.

    Args:
        session_id: a checked session id.
        url: ``http://host:port`` of the server.
    """

    def __init__(self, session_id: str, url: str) -> None:
        self._address = f"{url.rstrip('/')}/rpa/{session_id}"
        self._after: str | None = None
        self._text = ""
        self.estado = "aguardando"
        self.final = False

    async def run(self) -> None:
        """Show the run until it has ended; reconnects as long as it takes."""
        attempt = 0
        bar: Any
        with click.progressbar(length=100, label="aguardando", item_show_func=lambda _: self._text) as bar:
            async with aiohttp.ClientSession() as http:
                while not self.final:
                    attempt += 1
                    try:
                        if await self._follow(http, bar):
                            attempt = 0
                    except aiohttp.WSServerHandshakeError as error:
                        if error.status in (400, 401, 403, 404, 426):
                            raise click.ClickException(
                                f"{self._address} is no session of an rpa-server (it answered {error.status})."
                            ) from None
                        self._text = f"sem conexão ({error.status})"
                        bar.update(0)
                    except (aiohttp.ClientError, OSError) as error:
                        self._text = f"sem conexão ({error})"
                        bar.update(0)
                    if not self.final:
                        await asyncio.sleep(delay(attempt + 1, 0.25, 10.0, random.random()))

    async def _follow(self, http: aiohttp.ClientSession, bar: Any) -> bool:
        """Read one connection to its end; tell whether anything of the session came."""
        query = {"after": self._after} if self._after else {}
        heard = False
        async with http.ws_connect(self._address, protocols=[PROTOCOL], params=query, heartbeat=20) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    heard = self._show(message.data, bar) or heard
            if socket.close_code in _FINAL_CODES:
                self.final = True
        return heard

    def _show(self, text: str, bar: Any) -> bool:
        """Show a message; tell whether it is of the session, and no error or nonsense."""
        try:
            message = safejson.load_object(text)
        except BadDocument:
            return False
        if message.get("epoch"):
            self._after = f"{message['epoch']}:{message['seq']}"
        kind = message.get("type")
        shown = message.get("snapshot") if kind in ("sync", "reset") else message
        if shown and "estado" in shown:  # only we say it, and then the rest is there, too
            self.estado, self.final = str(shown["estado"]), bool(shown["final"])
            self._text = line(shown)
            bar.label = self.estado
            bar.update(max(0, round(float(shown["percentual"])) - bar.pos))
        return kind in ("sync", "reset", "progress_update")


def line(shown: dict[str, Any]) -> str:
    """Return a snapshot or an update as one line of at most 60 characters, none of which a terminal obeys."""
    step = shown.get("etapa", shown.get("etapa_atual"))
    text = f"{step}/{shown['total_etapas']} {shown['mensagem']}"[:60]
    return "".join(character if character.isprintable() else " " for character in text)
