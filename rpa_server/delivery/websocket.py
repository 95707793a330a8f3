"""WebSocket clients: the native protocol, and the plan's dialect (the plan is the project's first design).

As in stream.py nothing awaits. wire/incoming.py assembles incoming frames into messages; this module answers them.
"""

import asyncio
from typing import Any

from .. import errors, safejson
from ..errors import BadDocument
from ..progress.update import Update
from .stream import Stream
from .wire.incoming import BINARY, CLOSE, PING, TEXT, Message, ProtocolViolation, Reader
from .wire.messages import plain_message, reset_message, sync_message
from .wire.websocket import plain_frames, update_frame, ws_close, ws_control, ws_pong, ws_text
from .wire.welcome import Welcome

MAX_MESSAGE = 64 * 1024
RESTART, FINISHED, FLOODING = 1012, 4410, 1008

#: How many frames a client may send between two pings of the server; pages send one or two.
_MOST_FRAMES = 500
_PING = ws_control(PING)
#: The first bytes of an empty pong, and its size with the four bytes of the mask; most clients send nothing else.
_PONG, _PONG_SIZE = b"\x8a\x80", 6


class Socket(Stream):
    """The common part of both dialects.

    Attributes:
        name: the dialect's name, for the log.
        handshake_done: False while the 101 is still to be written; a frame before it would corrupt the response.
        close_code: the code of the close frame that was sent, None before that; 1005 if the frame had none.
    """

    __slots__ = ("_heard", "_reader", "close_code", "handshake_done")
    name = ""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._reader: Reader | None = None  # created at the first data that is no empty pong
        self._heard = True
        self.handshake_done = True
        self.close_code: int | None = None

    def answer(self, head: bytes) -> None:
        """Write *head*, the response to the handshake."""
        self.handshake_done = True
        self.transport.write(head)

    # -- incoming data

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._reader is None:
            if len(data) == _PONG_SIZE and data.startswith(_PONG):
                return
            self._reader = Reader(MAX_MESSAGE, _MOST_FRAMES)
        try:
            messages = self._reader.feed(data)
        except ProtocolViolation as error:
            self._drop(error.code, str(error))
            return
        for message in messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        if message.opcode == CLOSE:
            self._closed(message.payload)
        elif self.close_code is not None or self._paused:
            return  # a client that does not read gets no answers either: they would pile up here
        elif message.opcode == PING:
            self.transport.write(ws_pong(message.payload))
        elif message.opcode == TEXT:
            self._answer(message.payload)
        elif message.opcode == BINARY:
            self._reject("Send text frames with one JSON object each.")

    def _answer(self, text: bytes) -> None:
        try:
            data: dict[str, Any] = safejson.load_object(text)
        except BadDocument as error:
            self._reject(str(error))
            return
        if data.get("type") == "ping":
            self.transport.write(ws_text(b'{"type":"pong"}'))
        elif not self._echo(data, text):
            self._reject("This kind of message is not known; the only one is ping.")

    def _echo(self, data: dict[str, Any], text: bytes) -> bool:
        """Answer a message that is not a ping; False if the dialect has no such message."""
        return False

    def _reject(self, message: str) -> None:
        self.transport.write(ws_text(safejson.dumps(errors.body("bad_message", message))))

    # -- the end

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, or abort if the opening one was not answered. May be called repeatedly."""
        if not self.handshake_done:
            self.transport.abort()
        elif self.close_code is None and not self.transport.is_closing():
            self.close_code = code
            self.transport.write(ws_close(code, reason))
            self.abort_soon()

    def _closed(self, payload: bytes) -> None:
        """Answer the peer's close frame unless it is the reply to ours, and end the connection."""
        if self.close_code is None:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.transport.write(ws_control(CLOSE, payload[:2]))
        self._end()

    def _end(self) -> None:
        self.transport.close()
        self.abort_soon()

    def _drop(self, code: int, reason: str) -> None:
        """Send a close frame and close at once: a peer that breaks the protocol can't be expected to answer."""
        if self.close_code is None:
            self.close_code = code
            self.transport.write(ws_close(code, reason))
        self._end()

    @property
    def ending(self) -> str:
        return "dropped" if self.close_code is None else str(self.close_code)

    # -- heartbeat

    def ping(self) -> None:
        """Send a ping; expire() checks for the answer."""
        if self._reader is not None:
            self._reader.frames = 0
        if not self._paused and self.close_code is None:
            self._heard = False
            self.transport.write(_PING)

    def expire(self) -> None:
        """Drop a client that has sent nothing since the ping; a lagging one is left to Audience.catch_up()."""
        if not self._heard and not self._paused:
            self.transport.abort()


class NativeSocket(Socket):
    """A WebSocket with subprotocol ``rpa.v1``."""

    __slots__ = ()
    name = "rpa.v1"
    encode = staticmethod(update_frame)

    def sync(self, welcome: Welcome) -> None:
        self.transport.write(ws_text(sync_message(welcome)))

    def reset(self, welcome: Welcome) -> None:
        self.transport.write(ws_text(reset_message(welcome)))

    def finish(self) -> bool:
        self.close(FINISHED, "finished")
        return True

    def restart(self) -> None:
        self.close(RESTART, "restart")


class PlainSocket(Socket):
    """A WebSocket in the plan's dialect: no sync or reset (the state is sent as an update), and no clean close.

    The plan's script never reconnects after a clean close, so a restart drops the connection instead.
    """

    __slots__ = ()
    name = "plain"
    encode = staticmethod(plain_frames)

    def _echo(self, data: dict[str, Any], text: bytes) -> bool:
        """Echo an object without ``type``, as the plan's own test expects.

        It goes to its sender only: other clients would take it for an update.
        """
        if "type" in data:
            return False
        self.transport.write(ws_text(text))
        return True

    def sync(self, welcome: Welcome) -> None:
        if not welcome.recovered:
            self.reset(welcome)

    def reset(self, welcome: Welcome) -> None:
        if (message := plain_message(welcome)) is not None:
            self.transport.write(plain_frames(Update(message, None, 0, False)))

    def finish(self) -> bool:
        """Leave the socket open: the page closes it, or gets the session's next run through it."""
        return False

    def restart(self) -> None:
        self.transport.abort()
