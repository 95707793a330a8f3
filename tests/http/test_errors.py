"""Handlers that raise unexpected exceptions; errors that requests deserve are in test_hardening."""


import pytest
from aiohttp import web

from rpa_server.errors import RpaError
from rpa_server.http.keys import HUB
from tests.support.application import Serve


class Misfortune(RpaError):
    """A permanent failure."""

    status = 500
    code = "misfortune"
    temporary = False


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("a mistake"), "internal"), (Misfortune("bad luck"), "misfortune")]
)
async def test_a_handler_that_fails_answers_in_json(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, code: str
) -> None:
    """A bug in a handler is answered 500 with the error object and no details; the traceback is logged."""
    client = await serve()
    assert isinstance(client.app, web.Application)

    def fail(session_id: str) -> None:
        raise error

    monkeypatch.setattr(client.app[HUB], "session", fail)
    async with client.get("/api/sessions/a") as response:
        assert (response.status, response.headers["Cache-Control"]) == (500, "no-store")
        body = await response.json()
    assert (body["type"], body["code"], body["temporary"]) == ("error", code, False)
    assert "mistake" not in body["message"]
    assert str(error) in caplog.text
    assert ("Traceback" in caplog.text) == (code == "internal")
