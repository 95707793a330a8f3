"""The public surface: what robots and servers import, and how it is called."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

import rpa_server
from rpa_server import tracker
from rpa_server.tracker import ProgressTracker, RedisProgressTracker
from tests.support.server import ROOT


def test_the_package_exports_the_application_and_its_version() -> None:
    """``rpa_server`` exports create_app, for ``python -m aiohttp.web rpa_server:create_app``, and the version."""
    assert sorted(rpa_server.__all__) == ["__version__", "create_app"]
    assert rpa_server.__version__.count(".") == 2
    assert list(inspect.signature(rpa_server.create_app).parameters) == ["argv"]


def test_the_tracker_exports_the_names_that_robots_import() -> None:
    """The tracker exports the names of the plan and of the deployed module, each with a docstring."""
    assert sorted(tracker.__all__) == [
        "ProgressTracker",
        "RedisProgressTracker",
        "criar_progress_tracker",
        "detectar_progress_tracker",
        "verificar_redis_disponivel",
    ]
    for name in tracker.__all__:
        assert getattr(tracker, name).__doc__


@pytest.mark.parametrize("module", ["rpa_server", "rpa_server.tracker"])
def test_a_star_import_brings_the_exported_names_and_no_other(module: str) -> None:
    """``from … import *`` brings exactly the names in ``__all__``."""
    program = (
        f"import {module} as module\n"
        "names = {}\n"
        f"exec('from {module} import *', names)\n"
        "assert set(names) - {'__builtins__'} == set(module.__all__), names\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30)


#: The parameters of each method; those after ``*`` are passed by name only.
SIGNATURES = {
    "__init__": "self, total_etapas=15, usar_arquivo=True, session_id=None, tipo='auto', *, redis_client=None",
    "update_progress": "self, etapa, mensagem='', dados_extra=None",
    "update_progress_with_estimativas": "self, etapa, mensagem='', dados_extra=None, estimativas=None",
    "add_estimativas": "self, estimativas",
    "add_error": "self, erro, contexto=''",
    "finalizar": "self, status_final='success', dados_finais=None, erro_final=None",
    "get_progress": "self",
    "get_estimativas": "self",
    "limpar_dados": "self",
    "limpar_arquivos": "self",
    "carregar_sessao": "session_id, tipo='auto', redis_client=None",
}


def parameters(method: Any) -> str:
    """Return the parameters of *method* without their types."""
    signature = inspect.signature(method)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))[1:-1]


@pytest.mark.parametrize("method", SIGNATURES)
def test_a_method_is_called_as_robots_call_it(method: str) -> None:
    """Names, order and defaults of the parameters stay, since robots pass them by name and by position."""
    assert parameters(getattr(ProgressTracker, method)) == SIGNATURES[method]


def test_there_is_no_public_method_but_those() -> None:
    """The class has the public methods in SIGNATURES, ``backend``, ``lost`` and ``cut``; a new one must be listed here."""
    public = {name for name, _ in inspect.getmembers(ProgressTracker) if not name.startswith("_")}
    assert public == (set(SIGNATURES) - {"__init__"}) | {"backend", "lost", "cut"}


def test_the_tracker_is_a_context_manager() -> None:
    """The tracker has the methods of a context manager, with their usual parameters."""
    assert parameters(ProgressTracker.__enter__) == "self"
    assert len(inspect.signature(ProgressTracker.__exit__).parameters) == 4


def test_the_plans_name_is_the_same_tracker() -> None:
    """RedisProgressTracker, the plan's name, is a subclass of ProgressTracker that adds nothing."""
    assert issubclass(RedisProgressTracker, ProgressTracker)
    own = {name for name in vars(RedisProgressTracker) if not name.startswith("__")}
    assert own == set()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (tracker.criar_progress_tracker, "session_id=None, total_etapas=15, tipo='auto'"),
        (tracker.detectar_progress_tracker, "tipo='auto'"),
        (tracker.verificar_redis_disponivel, ""),
    ],
)
def test_a_helper_is_called_as_robots_call_it(function: Any, expected: str) -> None:
    """The helper functions have the parameters and defaults that they have in the deployed module."""
    assert parameters(function) == expected
