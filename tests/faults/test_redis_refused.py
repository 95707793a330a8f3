"""The server can't use Redis: a wrong password, a missing permission, a bad certificate."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults.certificates import Authority, why_no_tls
from tests.support.faults.fleet import ready
from tests.support.faults.table import Row
from tests.support.server import RedisServer, Server, free_port, redis_server
from tests.support.timing import fast_enough, within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

#: Redis users and their access rules; each but the last lacks one permission that the server needs.
USERS = {
    "no-psubscribe": ("on", ">segredo", "~*", "&*", "+@all", "-psubscribe"),
    "no-subscribe": ("on", ">segredo", "~*", "&*", "+@all", "-subscribe"),
    "no-publish": ("on", ">segredo", "~*", "&*", "+@all", "-publish"),
    "no-channels": ("on", ">segredo", "~*", "resetchannels", "+@all"),
    "nothing-missing": ("on", ">segredo", "~*", "&*", "+@all"),
}


@dataclass
class Case:
    """One server, and what ``/health/ready`` answered.

    Attributes:
        name: what the case is called in the table.
        url: its ``RPA_REDIS_URL``.
        answers: seconds since the start, status and body of each answer.
        exited: it ended instead of listening.
        lines: its log, without requests.
    """

    name: str
    url: str
    answers: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    exited: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def refused_s(self) -> float:
        """After how many seconds the first 503 with a reason came, infinity for never; 0 if the server exited."""
        if self.exited:
            return 0.0
        found = (at_s for at_s, status, body in self.answers if status == 503 and body.get("reason"))
        return next(found, float("inf"))

    @property
    def recanted(self) -> int:
        """How many answers after the first 503 with a reason had another status."""
        return sum(status != 503 for at_s, status, _ in self.answers if at_s > self.refused_s)


async def observe(case: Case, directory: Path, length_s: float) -> None:
    """Run a server for *length_s*, poll its readiness, and record answers and log in *case*."""
    directory.mkdir()
    server = Server(directory / "rpa_data", case.url)
    began = time.monotonic()
    try:
        try:
            await asyncio.to_thread(server.start)
        except AssertionError:  # it has exited
            case.exited = True
        while not case.exited and time.monotonic() - began < length_s:
            status, body = await ready(server)
            case.answers.append((time.monotonic() - began, status, body))
            await asyncio.sleep(0.1)
    finally:
        server.kill()
    case.lines = [line for line in server.log.read_text().splitlines() if "aiohttp.access" not in line]
    case.lines = [line for line in case.lines if '"GET /health/ready' not in line]


@contextmanager
def guarded() -> Iterator[RedisServer]:
    """Run a Redis with the password ``segredo`` and the users of USERS."""
    with redis_server() as backend, backend.client() as client:
        for name, rules in USERS.items():
            client.execute_command("ACL", "SETUSER", name, *rules)
        client.config_set("requirepass", "segredo")
        yield backend


@contextmanager
def encrypted(certificate: Path, key: Path) -> Iterator[int]:
    """Run a Redis with TLS; yield the port of its TLS connections."""
    plain = RedisServer()
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    plain.start("--tls-port", str(port), *files)
    try:
        yield port
    finally:
        plain.kill()


async def watch_all(cases: list[Case], directory: Path, length_s: float, record: Record) -> None:
    """Observe all cases at once and judge each; in the case ``control`` nothing is wrong, so it must be ready."""
    await asyncio.gather(*(observe(case, directory / case.name, length_s) for case in cases))
    for case in cases:
        minute = len(case.lines) * 60 / max(60.0, length_s)
        reasons = sorted({body.get("reason", "") for _, status, body in case.answers if status == 503})
        more = "exit" if case.exited else f"503 after {case.refused_s:.1f} s, {case.recanted} times well behind it"
        more += f", {minute:.0f} log lines a minute, {reasons[:1]}"
        if case.name != "control":
            record(Row(f"R11 {case.name}", more=more))
    for case in cases:
        if case.name == "control":
            fast_enough(len(case.answers) > 5, "the servers took most of the time to start")
            assert {status for _, status, _ in case.answers[5:]} == {200}
            assert (case.answers[-1][2]["status"], case.answers[-1][2]["redis"]) == ("ok", "ok")
            continue
        assert case.recanted == 0, case.name
        assert len(case.lines) <= 6 * max(60.0, length_s) / 60, (case.name, case.lines)
    for case in cases:
        if case.name != "control":
            within(case.refused_s, 5.0)


@pytest.mark.serial
async def test_R11_password_and_permissions(tmp_path: Path, record: Record, full: bool) -> None:
    """With a wrong password or missing permission, /health/ready says why within 5 s, and the log stays short."""
    with guarded() as backend:
        here = f"127.0.0.1:{backend.port}/0"
        cases = [
            Case("control", f"redis://nothing-missing:segredo@{here}"),
            Case("wrong password", f"redis://:errado@{here}"),
            Case("no password", f"redis://{here}"),
            *(Case(name, f"redis://{name}:segredo@{here}") for name in USERS if name != "nothing-missing"),
        ]
        await watch_all(cases, tmp_path, 60.0 if full else 6.0, record)


@pytest.mark.faults_full
async def test_R11_certificates(tmp_path: Path, record: Record) -> None:
    """A certificate that has expired or whose authority is unknown makes the server not ready, and it stays so."""
    if reason := why_no_tls():
        pytest.skip(reason)
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    with ExitStack() as stack:
        good = stack.enter_context(encrypted(*authority.sign("good")))
        expired = stack.enter_context(encrypted(*authority.sign("expired", days=-1)))
        cases = [
            Case("control", f"rediss://localhost:{good}/0?ssl_ca_certs={authority.path}"),
            Case("expired certificate", f"rediss://localhost:{expired}/0?ssl_ca_certs={authority.path}"),
            Case("other authority", f"rediss://localhost:{good}/0?ssl_ca_certs={other.path}"),
            Case("unknown authority", f"rediss://localhost:{good}/0"),
            Case("missing authority", f"rediss://localhost:{good}/0?ssl_ca_certs=/nonexistent.pem"),
        ]
        await watch_all(cases, tmp_path, 60.0, record)
