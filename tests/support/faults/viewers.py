"""Clients that follow docs/api.rst, with shorter pauses, and record what they receive; judge.py judges the records.

A client keeps its cursor. Whenever its stream ends it reconnects after a jittered back-off and sends the cursor, with
the next one of its transports if it has several. It stops at the end of the run.
"""

import asyncio
import contextlib
import json
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple

import aiohttp

Transport = Literal["ws", "sse", "poll"]
#: Transports of a crowd's clients: some have one, some change at every reconnect.
MIX: Sequence[Sequence[Transport]] = (("ws",), ("sse",), ("ws", "sse"), ("poll",), ("ws", "poll", "sse"))

#: Upper limits of a client's first pause and of its longest pause before it reconnects, in seconds.
FIRST_S, LONGEST_S = 0.1, 1.0
#: Seconds within which a WebSocket must open, an event stream bring its first bytes, and a poll be answered.
ANSWER_S = 10.0
#: The ``wait`` of a poll, in seconds.
WAIT_S = 5.0
#: A client gives a stream up after this many heartbeat periods without a byte.
SILENT_HEARTBEATS = 2.5

_UPDATE = re.compile(r'\{"type":"progress_update","epoch":"(\w+)","seq":(\d+),"final":(true|false),')
_TYPE = re.compile(r'\{"type": ?"(\w+)"')
_NATIVE = "rpa.v1"

#: What happened to a client. ``update``, ``bare``: it received an update with or without a number. ``join``: it sent no
#: cursor and got its first state, or the answer that nothing is known. ``sync``, ``reset``, ``poll``: a state came
#: instead of the updates after its cursor. ``up``, ``down``: its connection opened or closed.
Kind = Literal["update", "bare", "join", "sync", "reset", "poll", "up", "down"]


class Event(NamedTuple):
    """Something that happened to a client, with its monotonic time and position; ``""`` and 0 if it has none."""

    kind: Kind
    at_s: float
    epoch: str = ""
    seq: int = 0


class Gone(Exception):
    """A poll was not answered with status 200."""


class LiveViewer:
    """A client of one session that reconnects until the run has ended; see the module's docstring.

    Args:
        urls: addresses of servers; it takes the next one at every reconnect.
        session_id: the session to watch.
        transports: at least one; it takes the next one at every reconnect.
        after: the cursor to begin with; None to send none.

    Attributes:
        events: what happened, in order.
        statuses: how often polls and event streams were answered with each HTTP status.
        codes: how often a WebSocket ended with each close code; 1006 if it had none.
        ended: how many event streams the server ended properly.
        retry_ms: the last ``retry:`` of an event stream, None for none.
        cursor: the position of the last state or update received; before that *after*.
        last: the last state or update received, as JSON; "" for none.
        final: it received a final state or update.
        done: the server said that the run is over: by close code 44xx, status 204, or a final poll.
        tries: the monotonic time at which each connection was requested.
        opened: the monotonic time at which each stream opened, for polls that of the first answer.
        silence_s: after this many seconds without a byte a stream is given up.
    """

    answer_s = ANSWER_S

    def __init__(
        self, urls: Sequence[str], session_id: str, transports: Sequence[Transport] = ("ws",), after: str | None = "0"
    ) -> None:
        self.session_id = session_id
        self.transports = transports
        self.events: list[Event] = []
        self.statuses: dict[int, int] = {}
        self.codes: dict[int, int] = {}
        self.ended = 0
        self.retry_ms: int | None = None
        self.cursor = after
        self.last = ""
        self.done = False
        self.final = False
        self.tries: list[float] = []
        self.opened: list[float] = []
        self.silence_s = self.answer_s
        self._urls = urls
        self._up = False

    # -- for tests

    @property
    def seq(self) -> int:
        """The ``seq`` of the last numbered update or state received, 0 for none."""
        return next((event.seq for event in reversed(self.events) if event.kind not in ("bare", "up", "down")), 0)

    def state(self) -> dict[str, Any]:
        """Return the last state or update received."""
        found: dict[str, Any] = json.loads(self.last) if self.last else {}
        return found

    @property
    def up(self) -> bool:
        """True while a stream is open; with polls, from the first answer until a poll fails or polling ends."""
        return self._up

    # -- recording

    def _note(self, kind: Kind, epoch: str = "", seq: int = 0) -> None:
        self.events.append(Event(kind, time.monotonic(), epoch, seq))

    def _connected(self, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._note("up" if up else "down")
            if up:
                self.opened.append(time.monotonic())

    def _take(self, text: str) -> None:
        """Record one message of a WebSocket or event stream."""
        match = _UPDATE.match(text)
        if match is not None:
            self._step(match[1], int(match[2]), match[3] == "true", text)
            return
        named = _TYPE.match(text)
        kind = named[1] if named else ""
        if kind == "progress_update":
            self._note("bare")
        elif kind in ("sync", "reset"):
            self._whole(json.loads(text))
        else:
            raise AssertionError(f"a client of {self.session_id} got {text[:200]}")

    def _step(self, epoch: str, seq: int, final: bool, text: str) -> None:
        self._note("update", epoch, seq)
        self.cursor = f"{epoch}:{seq}"
        self.last = text
        self.final = self.final or final

    def _whole(self, message: dict[str, Any]) -> None:
        """Record a sync or a reset; a sync after which the missed updates follow needs no event."""
        if "heartbeat_ms" in message:
            self.silence_s = SILENT_HEARTBEATS * message["heartbeat_ms"] / 1000
        if message["type"] == "sync" and message["recovered"]:
            return
        self._jump(message["type"], message["epoch"] or "", message["seq"], message["snapshot"])

    def _jump(self, kind: Kind, epoch: str, seq: int, snapshot: dict[str, Any] | None) -> None:
        """Record a state, or the answer that there is none (*snapshot* is None), and continue from its position."""
        news = self.cursor not in (None, "0") or (self.cursor == "0" and snapshot is not None)
        self._note(kind if news or kind == "reset" else "join", epoch, seq)
        if snapshot is not None:
            self.cursor = f"{epoch}:{seq}"
            self.last = json.dumps(snapshot)
            self.final = self.final or bool(snapshot["final"])

    # -- streams and polls

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Watch until the run is over."""
        streams = {"ws": self._socket, "sse": self._event_stream, "poll": self._polls}
        failures = 0
        while not self.done:
            url = self._urls[len(self.tries) % len(self._urls)]
            stream = streams[self.transports[len(self.tries) % len(self.transports)]]
            self.tries.append(time.monotonic())
            before = len(self.opened)
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, Gone):
                await stream(http, url)
            self._connected(False)
            failures = 1 if len(self.opened) > before else failures + 1
            if not self.done:
                await asyncio.sleep(self.pause_s(failures))

    def pause_s(self, failures: int) -> float:
        """Return how many seconds to wait before reconnecting.

        Args:
            failures: how many connections failed in a row; 1 after a stream that had opened.
        """
        ceiling = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 10))
        return ceiling * (0.5 + random.random() / 2)

    @property
    def _query(self) -> dict[str, str]:
        return {} if self.cursor is None else {"after": self.cursor}

    async def _socket(self, http: aiohttp.ClientSession, url: str) -> None:
        connecting = http.ws_connect(
            f"{url}/rpa/{self.session_id}", protocols=[_NATIVE], params=self._query, autoping=False, max_msg_size=0
        )
        async with asyncio.timeout(self.answer_s):
            stream = await connecting
        try:
            assert stream.protocol == _NATIVE
            self._connected(True)
            while True:
                message = await stream.receive(timeout=self.silence_s)
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type == aiohttp.WSMsgType.PING:
                    await stream.pong(message.data)
                elif message.type != aiohttp.WSMsgType.PONG:
                    break
            code = stream.close_code or 1006
            self.codes[code] = self.codes.get(code, 0) + 1
            self.done = 4400 <= code < 4500
        finally:
            self._connected(False)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await stream.close()

    async def _event_stream(self, http: aiohttp.ClientSession, url: str) -> None:
        async with asyncio.timeout(self.answer_s) as limit:
            async with http.get(f"{url}/events/{self.session_id}", params=self._query) as response:
                self._answered(response.status)
                self.done = response.status == 204
                if response.status != 200:
                    return
                self._connected(True)
                loop = asyncio.get_running_loop()
                buffer = ""
                async for data in response.content.iter_any():
                    limit.reschedule(loop.time() + self.silence_s)
                    *whole, buffer = (buffer + data.decode()).split("\n\n")
                    for event in whole:
                        self._event(event)
                self.ended += 1

    def _event(self, event: str) -> None:
        for line in event.split("\n"):
            if line.startswith("data: "):
                self._take(line[6:])
            elif line.startswith("retry: "):
                self.retry_ms = int(line[7:])

    async def _polls(self, http: aiohttp.ClientSession, url: str) -> None:
        """Poll until a poll fails or the run is over; a client with several transports makes ten polls at most."""
        turns = 10 if len(self.transports) > 1 else 1_000_000_000
        while turns and not self.done:
            turns -= 1
            async with asyncio.timeout(self.answer_s):
                await self._poll(http, url)

    async def _poll(self, http: aiohttp.ClientSession, url: str) -> None:
        address = f"{url}/api/sessions/{self.session_id}"
        async with http.get(address, params={**self._query, "wait": str(WAIT_S)}) as response:
            self._answered(response.status)
            if response.status != 200:
                raise Gone
            answer = json.loads(await response.text())
        self._connected(True)
        if answer["recovered"]:
            for update in answer["updates"]:
                self._step(update["epoch"], update["seq"], update["final"], json.dumps(update))
        else:
            self._jump("poll", answer["epoch"], answer["seq"], answer["snapshot"])
        self.done = answer["snapshot"]["final"]

    def _answered(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1


class Crowd:
    """Viewers of several sessions, on one event loop.

    Args:
        urls: see LiveViewer.
        sessions: assigned to the viewers in turn.
        count: number of viewers.
        mix: lists of transports, assigned to the viewers in turn.
        kind: the viewers' class.
    """

    def __init__(
        self,
        urls: Sequence[str],
        sessions: Sequence[str],
        count: int,
        mix: Sequence[Sequence[Transport]] = MIX,
        kind: type[LiveViewer] = LiveViewer,
    ) -> None:
        # Without rotation a session would get only some transports if len(sessions) and len(mix) have a common divisor.
        kinds = deque(mix)
        self.viewers = []
        for number in range(count):
            if number and number % len(sessions) == 0:
                kinds.rotate(-1)
            self.viewers.append(kind(urls, sessions[number % len(sessions)], kinds[number % len(kinds)]))

    def __len__(self) -> int:
        return len(self.viewers)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Run all clients during the block and cancel them after it; then raise the first exception that ended one."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http:
            self._tasks = [asyncio.create_task(viewer.run(http)) for viewer in self.viewers]
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def until_up(self, timeout_s: float = 60.0) -> None:
        """Wait until every viewer is ``up``; raise TimeoutError after *timeout_s*."""
        async with asyncio.timeout(timeout_s):
            while not all(viewer.up for viewer in self.viewers):  # noqa: ASYNC110 - viewers set no event
                await asyncio.sleep(0.02)

    async def until_done(self, timeout_s: float = 60.0) -> bool:
        """Wait, for *timeout_s* at most, until every client has stopped at the end of its run; tell whether all did."""
        _, pending = await asyncio.wait(self._tasks, timeout=timeout_s)
        return not pending
