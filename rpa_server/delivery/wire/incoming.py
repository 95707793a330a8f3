"""What a client says over a WebSocket once it is open: frames, as RFC 6455 has them for a server.

Pure. Bytes go in, messages come out; what breaks the protocol is refused, not repaired. Only frames that clients may
send are known: masked, without extensions. What the server sends is made in frames.py.
"""

from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_LONGEST_CONTROL = 125
#: Codes that may travel in a close frame, besides 3000 to 4999.
_CLOSE_CODES = {1000, 1001, 1002, 1003, *range(1007, 1015)}
PROTOCOL_ERROR, BAD_TEXT, TOO_BIG = 1002, 1007, 1009


class ProtocolViolation(Exception):
    """The client broke the protocol.

    Attributes:
        code: the close code that says how.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Message(NamedTuple):
    """One whole message, or one control frame.

    Attributes:
        opcode: TEXT, BINARY, PING, PONG or CLOSE.
        payload: unmasked; of TEXT and CLOSE it is known to be well-formed.
    """

    opcode: int
    payload: bytes


class Reader:
    """Puts frames together.

    Args:
        limit: bytes that a message may have, over all its fragments.
    """

    __slots__ = ("_buffer", "_limit", "_need", "_opcode", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._need = 2
        self._opcode = 0  # of the message whose fragments are in _parts; 0 where there is none
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return the messages that they complete.

        Raises:
            ProtocolViolation: nothing may be fed any more.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        while len(buffer) >= self._need:
            start = self._header(buffer)
            if start is None:
                continue
            size = self._need - start
            payload = _unmask(bytes(buffer[start - 4 : start]), bytes(buffer[start : start + size]))
            first = buffer[0]
            del buffer[: start + size]
            self._need = 2
            if (message := self._frame(bool(first & 0x80), first & 0x0F, payload)) is not None:
                messages.append(message)
        return messages

    def _header(self, buffer: bytearray) -> int | None:
        """Return where the payload begins, with _need the end of the frame; None where more of the header is needed."""
        first, second = buffer[0], buffer[1]
        short = second & 0x7F
        self._check(first, second, short)
        extended = {126: 2, 127: 8}.get(short, 0)
        start = 2 + extended + 4
        if len(buffer) < start:
            self._need = start
            return None
        size = int.from_bytes(buffer[2 : 2 + extended], "big") if extended else short
        if (first & 0x0F) < CLOSE and self._size + size > self._limit:
            raise ProtocolViolation(TOO_BIG, "message too big")
        self._need = start + size
        return start if len(buffer) >= self._need else None

    def _check(self, first: int, second: int, short: int) -> None:
        """Refuse what is wrong in a frame's first two bytes."""
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70:
            raise ProtocolViolation(PROTOCOL_ERROR, "reserved bits are set")
        if not second & 0x80:
            raise ProtocolViolation(PROTOCOL_ERROR, "frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG or not final or short > _LONGEST_CONTROL:
                raise ProtocolViolation(PROTOCOL_ERROR, "bad control frame")
        elif opcode > BINARY or (opcode == CONTINUATION) != bool(self._opcode):
            raise ProtocolViolation(PROTOCOL_ERROR, "bad sequence of frames")

    def _frame(self, final: bool, opcode: int, payload: bytes) -> Message | None:
        if opcode >= CLOSE:
            if opcode == CLOSE:
                _check_close(payload)
            return Message(opcode, payload)
        self._opcode = self._opcode or opcode
        self._parts.append(payload)
        self._size += len(payload)
        if not final:
            return None
        whole = Message(self._opcode, b"".join(self._parts))
        self._opcode, self._parts, self._size = 0, [], 0
        if whole.opcode == TEXT:
            _check_text(whole.payload)
        return whole


def _unmask(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(BAD_TEXT, "text is not UTF-8") from None


def _check_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        raise ProtocolViolation(PROTOCOL_ERROR, "bad close code")
    _check_text(payload[2:])
