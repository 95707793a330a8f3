"""The TypedDicts in progress/shapes.py and the members of Estado, compared with all that must agree with them."""

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, get_args

import pytest

import rpa_server
from rpa_server.cli import recording
from rpa_server.legacy import sse_messages
from rpa_server.legacy.outcomes import deployed_words
from rpa_server.progress import outcome, shapes
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.outcome import Estado
from rpa_server.progress.run import Run
from rpa_server.progress.snapshot import EVENTS
from tests.support import recordings
from tests.support.server import ROOT

WEB = ROOT / "web"
TYPES = re.sub(r"/\*.*?\*/|//[^\n]*", "", (WEB / "rpa-progress.d.ts").read_text(encoding="utf-8"), flags=re.DOTALL)

# -- reading TypeScript


def block(text: str) -> str:
    """Return the text between the first brace of *text* and the matching one."""
    depth, start = 0, text.index("{") + 1
    for index, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "}" and depth == 0:
            return text[start:index]
    raise AssertionError("a brace is not closed")


def declared(body: str) -> dict[str, tuple[bool, str]]:
    """Return the fields in the body of an interface by name: whether each is optional, and its type."""
    found: dict[str, tuple[bool, str]] = {}
    depth, field = 0, ""
    for character in body:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character != ";" or depth:
            field += character
            continue
        name, optional, kind = re.fullmatch(r"\s*(?:readonly\s+)?(\w+|\[.*?\])(\??):\s*(.*)", field, re.DOTALL).groups()  # type: ignore[union-attr]
        found[name] = (bool(optional), kind)
        field = ""
    return {name: value for name, value in found.items() if not name.startswith("[")}


def interface(name: str) -> dict[str, tuple[bool, str]]:
    return declared(block(TYPES[TYPES.index(f"interface {name} {{") :]))


def words(name: str) -> set[str]:
    """Return the strings in the union type of *name*, which is a type or a field."""
    text = re.search(rf"\b{name}\b[?]?\s*[=:]([^;]*);", TYPES)
    assert text is not None
    return set(re.findall(r"'(\w+)'", text[1]))


# -- shapes and interfaces


class Pair(NamedTuple):
    """An interface in TypeScript, and the Python shapes of the objects that a page gets under that type.

    Attributes:
        fields: the interface's fields, as declared() returns them.
        any_of: the shapes; a field is optional if one of them may lack it.
        lenient: fields that are optional in the interface though every shape has them.
        strict: fields that the interface promises though a shape may lack them.
    """

    fields: dict[str, tuple[bool, str]]
    any_of: tuple[Any, ...]
    lenient: frozenset[str] = frozenset()
    strict: frozenset[str] = frozenset()


def inline(of: str, field: str) -> dict[str, tuple[bool, str]]:
    """Return the fields of an object type that is written inside the interface *of*, at *field*."""
    return declared(block(interface(of)[field][1]).rstrip("; ") + ";")


#: Keys that the client's state lacks until a whole snapshot came, see snapshot() in docs/javascript.rst.
_BEFORE_A_SNAPSHOT = frozenset({
    "session_id", "status", "mensagem", "timestamp_inicio", "timestamp_atualizacao", "final", "estimativas", "resultado",
})  # fmt: skip
PAIRS = {
    "RPACobertura": Pair(interface("RPACobertura"), (shapes.Coverage,)),
    "RPACobertura.valores": Pair(inline("RPACobertura", "valores"), (shapes.PriceRange,)),
    "RPACobertura.beneficios": Pair(inline("RPACobertura", "beneficios"), (shapes.Benefit,)),
    "RPAEstimativas": Pair(interface("RPAEstimativas"), (shapes.Estimates,)),
    "RPAPlano": Pair(interface("RPAPlano"), (shapes.Plan,)),
    "RPAResultado": Pair(interface("RPAResultado"), (shapes.Result,)),
    # The plan's publishers always send a step; an update without one is shown at the current step.
    "RPAUpdate": Pair(
        interface("RPAUpdate"), (shapes.UpdateMessage, shapes.UnnumberedUpdate), strict=frozenset({"etapa"})
    ),
    "RPASnapshot": Pair(interface("RPASnapshot"), (shapes.View,), lenient=_BEFORE_A_SNAPSHOT),
    "RPASnapshot.erros": Pair(inline("RPASnapshot", "erros"), (shapes.ErrorRecord,)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_an_interface_has_the_fields_of_its_shape(name: str) -> None:
    """An interface has exactly the fields of its shapes: one that is added on one side only is reported."""
    pair = PAIRS[name]
    assert set(pair.fields) == set().union(*(shape.__annotations__ for shape in pair.any_of))


@pytest.mark.parametrize("name", PAIRS)
def test_a_field_is_optional_where_a_page_may_not_get_it(name: str) -> None:
    """A field is optional if a shape may lack it, so that TypeScript makes pages check it; Pair lists exceptions."""
    pair = PAIRS[name]
    always = set.intersection(*(set(shape.__required_keys__) for shape in pair.any_of))
    optional = {field for field, (may_be_missing, _) in pair.fields.items() if may_be_missing}
    assert optional == set(pair.fields) - always - pair.strict | pair.lenient


def test_events_are_the_same_everywhere() -> None:
    """shapes.Evento, the events of entries and ``evento`` in TypeScript have the same values."""
    assert words("evento") == set(get_args(shapes.Evento)) == {*EVENTS, "progresso"}


# -- built objects have their shape


def assert_shaped(made: Mapping[str, Any], shape: Any) -> None:
    assert shape.__required_keys__ <= set(made) <= set(shape.__annotations__), shape.__name__


@pytest.mark.parametrize("name", recordings.ALL)
def test_what_our_own_writer_makes_has_its_shape(name: str) -> None:
    """All that a Run makes has the keys of its TypedDict; casts in the code could hide a missing or extra one."""
    history = recordings.ALL[name]
    run = Run("s1", "a1", datetime(2026, 1, 15), history["total_etapas"])
    run.start(datetime(2026, 1, 15))
    for step in recording.parse(json.dumps(history).encode()).steps:
        step.report(Reporter(run))
    for update in run.updates:
        assert_shaped(update.data, shapes.UpdateMessage)
    for entry in run.entries:
        assert_shaped(entry, shapes.Entry)
    documents = run.documents()
    for kind, shape in SHAPE_OF.items():
        if kind in documents:
            assert_shaped(documents[kind], shape)
    assert_shaped(run.history_head(), shapes.HistoryHead)
    assert_shaped(run.snapshot, shapes.Snapshot)


SHAPE_OF = {
    "progress": shapes.StoredProgress,
    "history": shapes.StoredHistory,
    "result": shapes.StoredResult,
    "session": shapes.StoredSession,
}


class Reporter:
    """Makes the calls of a recording on a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._now = datetime(2026, 1, 15)

    def update_progress(self, etapa: float, mensagem: str, dados_extra: dict[str, Any] | None) -> None:
        self._run.step(etapa, mensagem, self._now, dados_extra)

    def update_progress_with_estimativas(
        self, etapa: float, mensagem: str, dados_extra: dict[str, Any] | None, estimativas: dict[str, Any] | None
    ) -> None:
        self._run.step(etapa, mensagem, self._now, dados_extra, estimativas)

    def add_estimativas(self, estimativas: dict[str, Any]) -> None:
        self._run.estimates(estimativas, self._now)

    def add_error(self, erro: str, contexto: str) -> None:
        self._run.error(erro, contexto, self._now)

    def finalizar(self, status_final: str, dados_finais: dict[str, Any] | None, erro_final: str | None) -> None:
        self._run.finish(status_final, self._now, dados_finais, erro_final)


@pytest.mark.parametrize("name", recordings.ALL)
def test_what_is_read_of_a_deployed_robot_has_its_shape(name: str) -> None:
    """What from_files() makes of a deployed robot's files, with a history and without, has the keys of its shape."""
    history = recordings.ALL[name]
    for files in ((None, history), (recordings.progress_of(history), None)):
        state = from_files("s1", *files)
        assert state is not None
        assert_shaped(state.snapshot, shapes.Snapshot)
        assert_shaped(state.view(), shapes.View)
        for update in state.updates:
            assert_shaped(update.data, shapes.UpdateMessage)


def test_the_documented_update_is_the_shape() -> None:
    """The example of an update in docs/api.rst has exactly the required keys of UpdateMessage."""
    text = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    example = json.loads(block(text[text.index("``progress_update``, one step") :]).join("{}"))
    assert set(example) == shapes.UpdateMessage.__required_keys__


# -- the values of Estado


def tables() -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield every table of the package that is keyed by Estado."""
    for module in pkgutil.walk_packages(rpa_server.__path__, "rpa_server."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, dict) and value and all(isinstance(key, Estado) for key in value):
                yield f"{module.name}.{name}", value


TABLES = dict(tables())


def test_the_deployed_answers_are_one_table() -> None:
    """legacy/ has one table that is keyed by Estado, legacy.outcomes._TABLE, and tables() finds it."""
    assert "rpa_server.legacy.outcomes._TABLE" in TABLES
    assert {name for name in TABLES if ".legacy." in name} == {"rpa_server.legacy.outcomes._TABLE"}


def test_every_column_of_that_table_says_of_each_outcome_whether_the_run_is_over() -> None:
    """All deployed words of an outcome agree on whether the run is over and whether it is a success."""
    running = {Estado.AGUARDANDO, Estado.EXECUTANDO}
    for estado in Estado:
        words = deployed_words(estado)
        assert {word is None for word in (words.status, words.top_level, words.last)} == {estado in running}
        assert (words.status == "success") is (words.last == "completed") is (words.dashboard == "completed")
        assert words.last is None or words.last in sse_messages.LAST


@pytest.mark.parametrize("name", TABLES)
def test_every_table_knows_every_outcome(name: str) -> None:
    """Every table that is keyed by Estado has every member; a new member fails here for each table without it."""
    assert set(TABLES[name]) == set(Estado)


def test_every_outcome_that_ends_a_run_has_a_rule() -> None:
    """Every outcome of an ended run is the result of some rule; without a rule no end could lead to it."""
    running = {Estado.AGUARDANDO, Estado.EXECUTANDO}
    assert {estado for _, estado in outcome._RULES} == set(Estado) - running


def test_pages_have_a_type_for_every_outcome() -> None:
    """``RPAEstado`` in web/rpa-progress.d.ts has exactly the members of Estado."""
    assert words("RPAEstado") == set(Estado)


def exported(module: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return the tables that a module of web/ exports, by name."""
    program = f"import * as all from './{module}'; console.log(JSON.stringify(all));"
    node = shutil.which("node")
    assert node, "node is not installed"
    done = subprocess.run(
        [node, "--input-type=module", "--eval", program], cwd=WEB, capture_output=True, text=True, timeout=30, check=True
    )
    return dict(json.loads(done.stdout))


OUTCOMES = "src/outcome.js"


def test_pages_have_a_record_for_every_outcome() -> None:
    """web/src/outcome.js has a record of every outcome with all three keys; words.test.mjs checks what is in them."""
    tables = exported(OUTCOMES)
    assert set(tables["OUTCOMES"]) == set(tables["LOADED"]) == set(Estado)
    for record in tables["OUTCOMES"].values():
        assert set(record) == {"_words", "_kind", "_failure"}
        assert record["_failure"] in {"", *words("RPAErrorCode")}


def test_the_list_of_sessions_was_built_of_the_same_records() -> None:
    """web/page-outcomes.js has every outcome; a new one is missing until ``npm run build`` was run."""
    assert set(exported("page-outcomes.js")["OUTCOMES"]) == set(Estado)


@pytest.mark.parametrize(("file", "selector"), [("src/style.css", ".{}"), ("page.css", '[data-kind="{}"]')])
def test_every_colour_of_an_outcome_is_in_the_styles(file: str, selector: str) -> None:
    """Every colour of an outcome has a rule in the styles, except ``running``, which has the page's accent."""
    style = (WEB / file).read_text(encoding="utf-8")
    kinds = {record["_kind"] for record in exported(OUTCOMES)["OUTCOMES"].values()} - {"running"}
    assert {kind for kind in kinds if f"\n{selector.format(kind)}" not in style} == set()


def test_no_other_script_or_style_names_the_outcomes() -> None:
    """Except for outcome.js and its build, scripts and styles name no outcome but ``erro`` and three others."""
    apart = {Estado.AGUARDANDO, Estado.EXECUTANDO, Estado.SUCESSO}
    known = {WEB / OUTCOMES, WEB / "page-outcomes.js"}
    for path in sorted({*(WEB / "src").iterdir(), *WEB.glob("*.js"), *WEB.glob("*.css")} - known):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        names = {estado for estado in set(Estado) - {Estado.ERRO} if re.search(rf"\b{estado}\b", text)}
        assert names <= apart, path.name


def test_no_module_writes_an_outcome_as_text() -> None:
    """Only outcome.py has outcomes as strings; ``erro`` and ``executando``, which mean other things, too, may occur."""
    names = set(Estado) - {Estado.ERRO, Estado.EXECUTANDO}
    for path in sorted((ROOT / "rpa_server").rglob("*.py")):
        if path.name != "outcome.py":
            written = {estado for estado in names if f'"{estado}"' in path.read_text(encoding="utf-8")}
            assert written == set(), path.name


def test_every_word_that_means_an_end_is_one() -> None:
    """is_end() is true for every word that outcome() knows, except for the ambiguous ones."""
    sets = [value for value in vars(outcome).values() if isinstance(value, frozenset)]
    assert len(sets) >= 6
    assert {word for word in frozenset().union(*sets) - outcome._AMBIGUOUS if not outcome.is_end(word)} == set()


def test_every_outcome_is_documented() -> None:
    """docs/api.rst has every outcome in its list of fields and in its table of rules."""
    text = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    listed = text[text.index("``estado``         what it means") : text.index("``final``          true")]
    rules = text[text.index("What the robot did") : text.index("*Ended* means")]
    assert set(re.findall(r"``(\w+)``", listed)) - {"estado"} == set(Estado)
    assert {estado for estado in Estado if f"``{estado}``" in rules} == set(Estado)
