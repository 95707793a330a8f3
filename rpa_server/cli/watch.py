"""Shows a run in the terminal, live, as a client of the native WebSocket."""

import asyncio
import random
from typing import Any

import aiohttp
import click

from .. import safejson
from ..backoff import delay
from ..delivery.wire.handshake import PROTOCOL
from ..errors import BadDocument
from ..progress.outcome import PLAN_KEYS, Estado, price
from .live_line import LiveLine, printable

#: Close codes after which reconnecting is useless.
_FINAL_CODES = range(4400, 4500)
#: HTTP statuses of the handshake that no retry will change.
_FINAL_STATUSES = (400, 401, 403, 404, 426)


class Watcher:
    """Follows one session over the WebSocket and shows its run on a LiveLine.

    Args:
        session_id: an already checked session id.
        url: ``http://host:port`` of the server.

    Attributes:
        estado: the run's latest known ``estado``.
        final: the run has ended, or the server closed the connection with one of _FINAL_CODES.
    """

    def __init__(self, session_id: str, url: str) -> None:
        self._address = f"{url.rstrip('/')}/rpa/{session_id}"
        self._after: str | None = None
        self._price = self._reason = ""
        self.estado = Estado.AGUARDANDO
        self.final = False

    async def run(self) -> None:
        """Show the run until it has ended; reconnect with a backoff whenever the connection is lost.

        Raises:
            click.ClickException: the address is not a session of an rpa-server.
        """
        attempt = 0
        with LiveLine(self.estado) as shown:
            async with aiohttp.ClientSession() as http:
                while not self.final:
                    attempt += 1
                    try:
                        if await self._follow(http, shown):
                            attempt = 0
                    except aiohttp.WSServerHandshakeError as error:
                        if error.status in _FINAL_STATUSES:
                            raise click.ClickException(
                                f"{self._address} is no session of an rpa-server (it answered {error.status})."
                            ) from None
                        shown.show(f"sem conexão ({error.status})")
                    except (aiohttp.ClientError, OSError) as error:
                        shown.show(f"sem conexão ({error})")
                    if not self.final:
                        await asyncio.sleep(delay(attempt + 1, 0.25, 10.0, random.random()))
            shown.end(self._price if self.estado == Estado.SUCESSO else self._reason)

    async def _follow(self, http: aiohttp.ClientSession, shown: LiveLine) -> bool:
        """Connect and read messages until the connection ends; return whether any was about the session."""
        query = {"after": self._after} if self._after else {}
        heard = False
        async with http.ws_connect(self._address, protocols=[PROTOCOL], params=query, heartbeat=20) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    heard = self._show(message.data, shown) or heard
            if socket.close_code in _FINAL_CODES:
                self.final = True
        return heard

    def _show(self, text: str, shown: LiveLine) -> bool:
        """Show a message; return whether it is about the session (other messages are errors or of an unknown kind)."""
        try:
            message = safejson.load_object(text)
        except BadDocument:
            return False
        if message.get("epoch"):
            self._after = f"{message['epoch']}:{message['seq']}"
        kind = message.get("type")
        state = message.get("snapshot") if kind in ("sync", "reset") else message
        if state and "estado" in state:  # only our messages have this key, and they always have the other keys, too
            self.estado, self.final = Estado(str(state["estado"])), bool(state["final"])
            self._price = first_price(state) or self._price
            self._reason = reason(state) or self._reason
            shown.show(line(state), float(state["percentual"]), self.estado)
        return kind in ("sync", "reset", "progress_update")


def line(state: dict[str, Any]) -> str:
    """Format a snapshot or an update as one line of at most 60 characters, without terminal control characters."""
    step = state.get("etapa", state.get("etapa_atual"))
    return printable(f"{step}/{state['total_etapas']} {state['mensagem']}"[:60])


def first_price(state: dict[str, Any]) -> str:
    """Return the price of the recommended plan, else of the alternative one, as the robot wrote it; else ``""``."""
    plans = state.get("resultado") or {}
    prices = [price(plans[key]) for key in PLAN_KEYS if isinstance(plans.get(key), dict)]
    return next(filter(None, prices), "")


def reason(state: dict[str, Any]) -> str:
    """Return the text of the last error in a snapshot or an update, empty if there is none."""
    errors = [item.get("erro") for item in state.get("erros", ()) if isinstance(item, dict)]
    return str(state.get("erro") or (errors[-1] if errors else "") or "")
