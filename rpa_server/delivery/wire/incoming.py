"""What a client sends over an open WebSocket: bytes go in, complete messages come out.

Pure. wsproto parses the frames (RFC 6455, as a server); this module checks what wsproto leaves to its caller: the size
of a message, the number of frames, and close codes. A violation is refused as soon as it shows, not repaired.
"""

from typing import NamedTuple

from wsproto.frame_protocol import LOCAL_ONLY_CLOSE_REASONS, CloseReason, FrameDecoder, MessageDecoder, Opcode, ParseFailed

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PROTOCOL_ERROR, BAD_TEXT, TOO_MANY, TOO_BIG = 1002, 1007, 1008, 1009

#: Registered close codes that a peer may send; 3000 to 4999 are for libraries and programs (RFC 6455, section 7.4.2).
_CLOSE_CODES = frozenset(CloseReason) - frozenset(LOCAL_ONLY_CLOSE_REASONS)
_FREE_CLOSE_CODES = range(3000, 5000)


class ProtocolViolation(Exception):
    """The client broke the protocol.

    Attributes:
        code: the close code to send.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Message(NamedTuple):
    """One complete message, or one control frame.

    Attributes:
        opcode: TEXT, BINARY, PING, PONG or CLOSE.
        payload: the unmasked bytes; for TEXT valid UTF-8, for CLOSE empty or a permitted code and a reason in UTF-8.
    """

    opcode: int
    payload: bytes


class Reader:
    """Assembles frames into messages.

    Args:
        limit: the most bytes of a message, over all its fragments.
        most_frames: how many frames may come before the caller resets ``frames`` to 0. Frames are counted, not
            messages: a fragment without payload takes as long as a message (7 us), and a read can bring 40,000 of them.

    Attributes:
        frames: how many frames came since the caller last reset this number.
    """

    __slots__ = ("_decoders", "_limit", "_most_frames", "_payload", "frames")

    def __init__(self, limit: int, most_frames: int = 500) -> None:
        self._limit = limit
        self._most_frames = most_frames
        # Kept only while a frame or a message is incomplete, because they take 500 bytes for each client, and a page
        # sends only 21 bytes every 25 s.
        self._decoders: tuple[FrameDecoder, MessageDecoder] | None = None
        self._payload = bytearray()
        self.frames = 0

    def feed(self, data: bytes) -> list[Message]:
        """Parse bytes and return the messages that they complete.

        Raises:
            ProtocolViolation: the client broke the protocol; this reader must not be used any more.
        """
        frames, message = self._decoders or (FrameDecoder(client=False), MessageDecoder())
        frames.receive_bytes(data)
        try:
            messages = self._read(frames, message)
        except ParseFailed as error:
            reason = "text is not UTF-8" if error.code == BAD_TEXT else str(error)
            raise ProtocolViolation(int(error.code), reason) from None
        under_way = frames.header is not None or len(frames.buffer) > 0 or message.opcode is not None
        self._decoders = (frames, message) if under_way else None
        return messages

    def _read(self, frames: FrameDecoder, message: MessageDecoder) -> list[Message]:
        messages: list[Message] = []
        while self._header(frames) and (frame := frames.process_buffer()) is not None:
            if frame.frame_finished:
                self._count()
            payload = frame.payload
            assert isinstance(payload, bytes)  # only a MessageDecoder would convert it to text
            if frame.opcode.iscontrol():
                if frame.opcode is Opcode.CLOSE:
                    _check_close(payload)
                messages.append(Message(int(frame.opcode), payload))
                continue
            self._payload += payload
            part = message.process_frame(frame)
            if part.message_finished:
                messages.append(Message(int(part.opcode), bytes(self._payload)))
                self._payload.clear()
        return messages

    def _header(self, frames: FrameDecoder) -> bool:
        """Tell whether a frame's header is complete; refuse a message that would be too big before it arrives."""
        if frames.header is not None:
            return True
        if not frames.parse_header():
            return False
        header = frames.header
        assert header is not None
        if not header.opcode.iscontrol() and len(self._payload) + header.payload_len > self._limit:
            raise ProtocolViolation(TOO_BIG, "message too big")
        return True

    def _count(self) -> None:
        self.frames += 1
        if self.frames > self._most_frames:
            raise ProtocolViolation(TOO_MANY, "too many frames")


def _check_close(payload: bytes) -> None:
    """Refuse a close frame with a code that no peer may send or a reason that is not UTF-8; an empty one is fine."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CLOSE_CODES or code in _FREE_CLOSE_CODES):
        raise ProtocolViolation(PROTOCOL_ERROR, "bad close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(BAD_TEXT, "text is not UTF-8") from None
