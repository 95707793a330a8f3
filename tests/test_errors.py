"""The tree of errors, and the error object that clients get."""

import inspect
import re

import pytest

from rpa_server import errors, safejson
from tests.support.server import ROOT

CLASSES = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, errors.RpaError)]
#: Status, code and ``temporary`` of each class.
TABLE = {
    "RpaError": (500, "internal", False),
    "ConfigError": (500, "internal", False),
    "BadDocument": (500, "internal", False),
    "Unreadable": (500, "internal", False),
    "StorageUnavailable": (503, "storage_unavailable", True),
    "RequestError": (400, "bad_request", False),
    "BadRequest": (400, "bad_request", False),
    "BadSessionId": (400, "bad_session_id", False),
    "BadCursor": (400, "bad_cursor", False),
    "Forbidden": (403, "forbidden", False),
    "SessionNotFound": (404, "session_not_found", True),
    "Conflict": (409, "conflict", False),
    "TooLarge": (413, "too_large", False),
    "TooSlow": (408, "too_slow", False),
    "UnsupportedMediaType": (415, "unsupported_media_type", False),
    "UpgradeRequired": (426, "upgrade_required", False),
    "ServerFull": (503, "full", True),
}


def test_every_error_has_its_status_code_and_hope() -> None:
    """Every error has the status, code and ``temporary`` of TABLE, by which programs decide."""
    assert {error.__name__: (error.status, error.code, error.temporary) for error in CLASSES} == TABLE


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_code_is_in_the_contract_with_its_status(error: type[errors.RpaError]) -> None:
    """The list of statuses in docs/api.rst names every error's code under its status."""
    statuses = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8").rpartition("\nStatuses\n")[2]
    groups = dict(re.findall(r"(\d{3}) (.*?)(?=; \d{3}|;\s\d{3}|\.\s*$|$)", statuses.replace("\n", " ")))
    assert f"``{error.code}``" in groups[str(error.status)]


def test_the_tree_in_the_docstring_names_every_error() -> None:
    """The tree in the docstring of errors.py has every class and no other."""
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted([*drawn, "RpaError"]) == sorted(error.__name__ for error in CLASSES)


def test_the_callers_mistakes_are_below_500_and_only_they() -> None:
    """Every RequestError except ServerFull has a status below 500, every other error one of 500 or more."""
    for error in CLASSES:
        if issubclass(error, errors.RequestError) and error is not errors.ServerFull:
            assert 400 <= error.status < 500
        else:
            assert error.status >= 500


def test_a_full_server_says_when_to_come_back() -> None:
    """ServerFull has the header Retry-After, UpgradeRequired has Upgrade, and BadRequest has none."""
    assert errors.ServerFull.headers == {"Retry-After": "5"}
    assert errors.UpgradeRequired.headers["Upgrade"] == "websocket"
    assert errors.BadRequest.headers == {}


def test_a_refused_websocket_is_closed_with_a_code_that_browsers_may_get() -> None:
    """A full server closes with 1013, try again later; every other refusal closes with 1008, policy violation."""
    for error in CLASSES:
        if issubclass(error, errors.RequestError):
            assert error.close_code == (1013 if error is errors.ServerFull else 1008)


def test_the_error_object_has_the_contracts_shape() -> None:
    """body() makes the object of HTTP bodies and WebSocket frames, with exactly the four keys of the API."""
    body = errors.body("full", "Cheio, não dá.", temporary=True)
    assert safejson.loads(safejson.dumps(body)) == {
        "type": "error",
        "code": "full",
        "message": "Cheio, não dá.",
        "temporary": True,
    }


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ({"etapa": ["Not a number."]}, "etapa: Not a number."),
        ({"server": {"port": ["Not a port."], "_schema": "odd"}}, "server.port: Not a port.; server: odd"),
        ({"historico": {0: {"etapa": ["Missing."]}}}, "historico.0.etapa: Missing."),
        ({"_schema": "not an object"}, "not an object"),
        ({name: ["Missing."] for name in "abcde"}, "a: Missing.; b: Missing.; c: Missing.; and 2 more"),
    ],
)
def test_mistakes_are_put_into_one_sentence(messages: object, text: str) -> None:
    """explain() gives each mistake the path of its field, lists three at most, and counts the rest."""
    assert errors.explain(messages) == text
