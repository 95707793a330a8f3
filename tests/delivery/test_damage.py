"""Messages that begin like the next update of a run and are none, over a real Redis, on every way to a session."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse

from rpa_server.backends.redis.names import SESSIONS_KEY, history_key, progress_key
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.progress.run import Run
from rpa_server.progress.update import head
from tests.support.application import Client, Serve, native, plain, receive
from tests.support.server import RedisServer

EPOCH = "aaaa"
OTHER = "other"
NOW = datetime(2025, 10, 9, 19, 19, 39)
DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]
WRONG = (None, 5, 10**400, math.nan, "\ud800", ["x"], DEEP)
#: All keys of shapes.UpdateMessage behind the head.
KEYS = ("estado", "session_id", "evento", "etapa", "total_etapas", "percentual", "status", "mensagem", "timestamp",
        "dados_extra", "estimativas", "resultado", "erro", "contexto")  # fmt: skip
EVENTS = ("progresso", "estimativas", "erro", "final")


def update_after(event: str) -> dict[str, Any]:
    """Return what stands behind the head in a real update of this kind."""
    run = Run("x", EPOCH, NOW)
    made = {
        "progresso": lambda: run.step(3, "Tela 3", NOW, {"a": 1}, {"coberturas_detalhadas": []}),
        "estimativas": lambda: run.estimates({"coberturas_detalhadas": [{"nome": "A"}]}, NOW),
        "erro": lambda: run.error("Falhou", "tela", NOW),
        "final": lambda: run.finish("success", NOW, {"plano_recomendado": {"valor": "R$ 1,00"}})[0],
    }[event]()
    return {key: value for key, value in made.data.items() if key not in ("type", "epoch", "seq", "final")}


def damages(event: str) -> Iterator[tuple[str, bytes]]:
    """Yield bytes for behind the head, each with the name of what is wrong with them."""
    right = update_after(event)
    for key in KEYS:
        if key in right:
            yield f"without {key}", _rest({name: value for name, value in right.items() if name != key})
        for value in WRONG:
            yield f"{key}={value!r:.20}", _rest({**right, key: value})
    yield "second head", _rest({**right, "seq": "x", "epoch": 5, "final": None, "type": []})
    yield "nothing", b"}"
    yield "no JSON", b'"estimativas":}'
    yield "torn", _rest(right)[:-20] + b"}"
    yield "two", _rest(right) + b"}"
    yield "deep", b'"dados_extra":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    yield "many digits", b'"etapa":' + b"1" * 200_000 + b"}"


def _rest(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode()[1:]


class Stand:
    """A server on a Redis, one robot for each session, and clients of every kind."""

    def __init__(self, http: Client, redis: RedisServer) -> None:
        self.http = http
        self.redis = redis
        self.store = RedisStore(client(redis.url))

    async def robot(self, session_id: str, steps: int) -> Run:
        run = Run(session_id, EPOCH, NOW, writer="http0")
        run.start(NOW)
        for number in range(1, steps):
            run.step(number, f"Tela {number}", NOW)
        assert await self.store.append(run)
        return run

    async def step(self, run: Run) -> None:
        run.base = run.seq
        run.step(run.seq, f"Tela {run.seq}", NOW)
        assert await self.store.append(run)

    def publish(self, session_id: str, raw: bytes) -> None:
        with self.redis.client() as connection:
            connection.publish(f"rpa_progress:{session_id}", raw)

    def forget(self, session_id: str) -> None:
        """Delete the session, so that the lists that count and show all of them stay short."""
        with self.redis.client() as connection:
            connection.delete(progress_key(session_id), history_key(session_id))
            connection.zrem(SESSIONS_KEY, session_id)

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, (path, response.status, await response.text())
            return await response.json()

    async def figure(self, name: str) -> float:
        return float((await self.get("/status"))[name])

    async def answers(self, session_id: str) -> dict[str, Any]:
        """Ask for the session in every way that is answered at once; return the answer of the poll."""
        for path in (
            f"/progress/{session_id}",
            f"/get_progress.php?session={session_id}",
            f"/api/sessions/{session_id}?after={EPOCH}:1",
        ):
            await self.get(path)
        return dict(await self.get(f"/api/sessions/{session_id}"))


@contextlib.asynccontextmanager
async def stand(serve: Serve, redis: RedisServer) -> AsyncIterator[Stand]:
    made = Stand(await serve(redis_url=redis.url), redis)
    try:
        yield made
    finally:
        await made.store.aclose()


async def until_seq(stream: ClientWebSocketResponse, seq: int) -> dict[str, Any]:
    """Return the first message with this ``seq`` that the stream gets."""
    while True:
        with contextlib.suppress(ValueError, RecursionError):  # a broken message is passed on until it is found out
            message = await receive(stream)
            if message.get("seq") == seq:
                return message


@pytest.mark.parametrize("short", [True, False], ids=["short way", "long way"])
@pytest.mark.parametrize("event", EVENTS)
async def test_e7_what_only_begins_like_an_update_harms_nobody(
    serve: Serve, redis_process: RedisServer, event: str, short: bool
) -> None:
    """Behind a right head anything may stand: every way to the session answers, and goes on with the robot's next step."""
    async with stand(serve, redis_process) as here:
        other = await here.robot(OTHER, 1)
        async with native(here.http, f"/rpa/{OTHER}") as witness:
            await until_seq(witness, 1)
            for number, (name, rest) in enumerate(damages(event)):
                await _one(here, f"s{number}", name, rest, event, short)
                here.forget(f"s{number}")
                await here.step(other)
                await until_seq(witness, other.seq)
            assert await here.figure("subscription_losses") == 0


async def _one(here: Stand, session_id: str, name: str, rest: bytes, event: str, short: bool) -> None:
    run = await here.robot(session_id, 2)
    async with (
        native(here.http, f"/rpa/{session_id}") as socket,
        plain(here.http, f"/rpa/{session_id}") as page,
        here.http.get(f"/events/{session_id}") as events,
        here.http.get(f"/progress_sse.php?session_id={session_id}") as deployed,
    ):
        assert events.status == deployed.status == 200
        await until_seq(socket, 2)
        if short:
            await here.step(run)
            await until_seq(socket, 3)
        here.publish(session_id, head(EPOCH, run.seq + 1, event == "final") + rest)
        await here.answers(session_id)
        async with native(here.http, f"/rpa/{session_id}") as joiner:
            assert (await receive(joiner))["type"] == "sync", name
        await here.step(run)
        await here.step(run)
        message = await until_seq(socket, run.seq)
        assert message["type"] in ("progress_update", "reset"), name
        answer = await here.answers(session_id)
        assert (answer["seq"], answer["snapshot"]["mensagem"]) == (run.seq, run.snapshot["mensagem"]), name
        assert not (socket.closed or page.closed or events.content.at_eof() or deployed.content.at_eof()), name


async def test_e7_what_is_no_update_is_counted(serve: Serve, redis_process: RedisServer) -> None:
    """A message that only begins like the next update counts as garbage, and the session is read again."""
    async with stand(serve, redis_process) as here:
        await here.robot("s", 2)
        async with native(here.http, "/rpa/s") as socket:
            await until_seq(socket, 2)
            here.publish("s", head(EPOCH, 3) + b'"status":5}')
            async with asyncio.timeout(8):
                while await here.figure("messages_garbage") < 1:  # noqa: ASYNC110 - HTTP has no event to await
                    await asyncio.sleep(0.01)
            assert (await here.answers("s"))["seq"] == 2


async def test_e7_garbage_in_the_stream_itself_harms_nobody(serve: Serve, redis_process: RedisServer) -> None:
    """The same in the stored stream: every way to the session answers, the robot goes on, and so does one that posts."""
    async with stand(serve, redis_process) as here:
        for number, (name, rest) in enumerate(damages("progresso")):
            session_id = f"s{number}"
            run = await here.robot(session_id, 2)
            with redis_process.client() as connection:
                connection.delete(history_key(session_id))
                for seq, raw in enumerate((run.updates[0].raw, head(EPOCH, 2) + rest), 1):
                    connection.xadd(history_key(session_id), {"epoch": EPOCH, "data": raw}, id=f"{seq}-0")
            await here.answers(session_id)
            await here.get("/api/rpa/metrics")
            async with here.http.post(f"/api/sessions/{session_id}/events", json={"etapa": 4}) as response:
                assert response.status == 201, (name, await response.text())
            answer = await here.answers(session_id)
            assert (answer["seq"], answer["snapshot"]["etapa_atual"]) == (3, 4), name
            listed = await here.get("/api/sessions?wait=5")
            assert [session["session_id"] for session in listed["sessions"]] == [session_id], name
            here.forget(session_id)
