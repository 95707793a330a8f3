"""Handlers that fail; the errors that requests cause are in tests/contract/test_hardening.py."""


import pytest
from aiohttp import web

from rpa_server.errors import RpaError
from rpa_server.http.keys import HUB
from tests.support.application import Serve


class Misfortune(RpaError):
    """A failure of the server that trying again does not cure."""

    status = 500
    code = "misfortune"
    temporary = False


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("a mistake"), "internal"), (Misfortune("bad luck"), "misfortune")]
)
async def test_a_handler_that_fails_answers_in_json(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, code: str
) -> None:
    """If a handler fails, the answer is 500 with an error object; only the log has a bug's details and traceback."""
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
