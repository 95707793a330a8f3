"""Runs as the deployed robot records them, and arbitrary ones; texts and prices are invented here.

Each function in _BUILDERS builds one history document. ``progress_of`` and ``result_of`` derive the robot's other files
from it, by an implementation of its rules that is independent of ours: nothing of rpa_server is imported.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Entry = dict[str, Any]
Document = dict[str, Any]

#: For each step, the robot's text at its beginning, and how many seconds the step then takes.
SCREENS: dict[float, tuple[str, float]] = {
    1: ("Abrindo a página do seguro", 0.6),
    2: ("Informando a placa fictícia", 1.1),
    3: ("Conferindo o modelo encontrado", 0.1),
    4: ("Pedindo um seguro sem bônus", 0.1),
    5: ("Esperando as faixas de preço", 7.3),
    5.5: ("Respondendo se o carro é novo", 1.1),
    6: ("Marcando os opcionais do carro", 0.2),
    7: ("Informando onde o carro dorme", 5.7),
    8: ("Informando para que o carro serve", 20.1),
    9: ("Preenchendo o cadastro de teste", 3.4),
    10: ("Informando quem dirige", 0.1),
    11: ("Informando os trajetos da semana", 0.1),
    12: ("Informando se há garagem", 0.2),
    13: ("Informando quem mora na casa", 8.3),
    14: ("Procurando um corretor", 0.0),
    15: ("Esperando os preços finais", 164.0),
}
MANUAL = "Cotação manual necessária"


class _Robot:
    """Records entries with a simulated clock: entries of one burst are milliseconds apart, screens take seconds."""

    def __init__(self, session_id: str, total: int, started: datetime) -> None:
        self.session_id = session_id
        self.total = total
        self.started = self.now = started
        self.entries: list[Entry] = []
        self._write("inicio", "iniciando", "ProgressTracker inicializado", after_s=0.0008)
        self.step(0, "Iniciando RPA")

    def _write(
        self,
        etapa: float | str,
        status: str,
        mensagem: str,
        extra: Document | None = None,
        erro: str | None = None,
        after_s: float = 0.001,
    ) -> None:
        self.now += timedelta(seconds=after_s, microseconds=137)
        entry = {
            "etapa": etapa,
            "timestamp": self.now.isoformat(timespec="microseconds"),
            "status": status,
            "mensagem": mensagem,
            "dados_extra": extra,
            "erro": erro,
        }
        self.entries.append(entry)

    def step(self, etapa: float, mensagem: str, after_s: float = 0.001) -> None:
        status = "iniciando" if etapa == 0 else "executando" if etapa < self.total else "concluido"
        self._write(etapa, status, mensagem, after_s=after_s)

    def screen(self, etapa: float, ending: str = "concluída") -> None:
        """Record the beginning of a step and, after the time in SCREENS, its end."""
        text, takes_s = SCREENS[etapa]
        self.step(etapa, text)
        self.step(etapa, f"Tela {etapa} {ending}", takes_s)

    def estimates(self) -> None:
        self._write("estimativas", "completed", "Estimativas capturadas", estimates(self.now.isoformat()))

    def fail(self, erro: str) -> None:
        """End the run as the deployed robot does if there is no quote: with step 15, an error, and a final entry."""
        self.step(15, f"Erro: {erro}", 0.007)
        self.end_with(erro)

    def report(self, erro: str) -> None:
        """Report an error that does not end the run."""
        self._write("erro", "error", f"Erro: {erro}", erro=erro)

    def end_with(self, erro: str) -> None:
        """End the run with an error entry and a final entry."""
        self.report(erro)
        self._write("final", "error", "RPA error", erro=erro, after_s=0.0015)

    def succeed(self, extra: Document) -> None:
        self._write("final", "success", "RPA success", extra, after_s=0.52)

    def document(self) -> Document:
        last = self.entries[-1]
        words = [entry["status"] for entry in self.entries if entry["etapa"] not in ("estimativas", "erro")]
        return {
            "session_id": self.session_id,
            "timestamp_inicio": self.started.isoformat(timespec="microseconds"),
            "timestamp_fim": (datetime.fromisoformat(last["timestamp"]) - timedelta(milliseconds=1)).isoformat(),
            "status_final": words[-1],
            "total_etapas": self.total,
            "historico": self.entries,
        }


def estimates(at: str) -> Document:
    """Return the estimates of step 5 in the deployed robot's shape; *at* is their timestamp."""
    prices = {"Básica": ("R$ 1.111,00", "R$ 1.222,00"), "Média": ("R$ 2.345,00", "R$ 2.468,00"), "Ampla": ("", "")}
    return {
        "timestamp": at,
        "coberturas_detalhadas": [
            {
                "indice": number,
                "nome_cobertura": name,
                "valores": {"de": low, "ate": high},
                "beneficios": [{"nome": f"Benefício {letter}", "status": "incluido"} for letter in "XYZ"[:number]],
                "texto_completo": f"{name}: de {low} até {high}",
            }
            for number, (name, (low, high)) in enumerate(prices.items(), 1)
        ],
        "resumo": {"total_coberturas": len(prices)},
    }


def plans() -> Document:
    """Return both plans in the deployed robot's shape, as they come with the final entry."""
    return {
        "plano_recomendado": _plan("Plano recomendado", "R$ 3.210,98", True),
        "plano_alternativo": _plan("Plano alternativo", "R$ 2.109,87", False),
    }


def _plan(name: str, price: str, complete: bool) -> Document:
    return {
        "plano": name,
        "valor": price,
        "forma_pagamento": "Boleto em até 7x",
        "parcelamento": "anual",
        "valor_franquia": "R$\xa04.567,89",
        "assistencia": complete,
        "vidros": complete,
        "danos_morais": "R$ 12.000,00" if complete else "N/A",
    }


def _until_the_last_screen(session_id: str, started: datetime) -> _Robot:
    robot = _Robot(session_id, 15, started)
    for etapa in SCREENS:
        if etapa == 15:
            robot.step(15, SCREENS[15][0])
        else:
            robot.screen(etapa, "pulada" if etapa == 14 else "concluída")
        if etapa == 5:
            robot.estimates()
    return robot


def success() -> Document:
    """Build a run of 15 steps that ends with both plans."""
    robot = _until_the_last_screen("aa01success", datetime(2026, 1, 15, 9, 30, 0, 250_000))
    robot.step(15, "Tela 15 concluída", SCREENS[15][1])
    robot.step(15, "RPA concluído com sucesso")
    robot.succeed(plans())
    return robot.document()


def manual() -> Document:
    """Build a run without a quote: the deployed robot writes the end of such a run twice."""
    robot = _until_the_last_screen("aa02manual", datetime(2026, 1, 15, 10, 45, 12, 137_881))
    robot.now += timedelta(seconds=SCREENS[15][1])
    robot.fail(MANUAL)
    robot.step(15, "Tela 15 falhou", 0.002)
    robot.fail(MANUAL)
    return robot.document()


def stuck() -> Document:
    """Build a run that has only the entries of its beginning, and no end."""
    return _Robot("aa03stuck", 5, datetime(2026, 1, 15, 11, 0, 0, 1)).document()


def failed_without_end() -> Document:
    """Build a run that failed at screen 2 and was never ended."""
    robot = _Robot("aa04failed", 15, datetime(2026, 1, 15, 23, 59, 58, 999_000))
    robot.screen(1)
    robot.screen(2, "falhou")
    return robot.document()


def five_steps() -> Document:
    """Build a run of the robot with five steps: steps 5 and 5.5 have status "concluido", the end has no plans."""
    robot = _Robot("aa05five", 5, datetime(2025, 12, 31, 23, 59, 40, 5))
    for etapa in (1, 2, 3, 4, 5):
        robot.screen(etapa)
    robot.estimates()
    robot.screen(5.5)
    robot.succeed({})
    return robot.document()


def interrupted() -> Document:
    """Build a run that an exception ends at screen 7: the robot writes step 0 and then a failure."""
    robot = _Robot("aa06interrupted", 15, datetime(2026, 1, 16, 8, 0, 1, 2))
    for etapa in (1, 2, 3, 4, 5):
        robot.screen(etapa)
    robot.estimates()
    robot.step(7, SCREENS[7][0])
    robot.step(0, "RPA interrompido por erro: Timeout 30000ms exceeded", 30.2)
    robot.end_with("Timeout 30000ms exceeded")
    return robot.document()


def unpriced() -> Document:
    """Build a run that ends as a success although no price was read."""
    robot = _until_the_last_screen("aa07unpriced", datetime(2026, 1, 16, 9, 15, 30, 40))
    robot.step(15, f"Erro: {MANUAL}", SCREENS[15][1])
    robot.step(15, "Tela 15 concluída")
    robot.step(15, "RPA concluído com sucesso")
    robot.succeed({key: {**plan, "valor": "N/A", "valor_franquia": "N/A"} for key, plan in plans().items()})
    return robot.document()


def hiccup() -> Document:
    """Build a run that reports an error on its way but ends with both plans."""
    robot = _Robot("aa08hiccup", 15, datetime(2026, 1, 16, 10, 20, 40, 60))
    robot.screen(1)
    robot.report("Elemento não encontrado, nova tentativa")
    for etapa in (2, 3, 4, 5):
        robot.screen(etapa)
    robot.estimates()
    robot.screen(6)
    robot.step(15, SCREENS[15][0])
    robot.step(15, "RPA concluído com sucesso", SCREENS[15][1])
    robot.succeed(plans())
    return robot.document()


_BUILDERS: tuple[Callable[[], Document], ...] = (
    success, manual, stuck, failed_without_end, five_steps, interrupted, unpriced, hiccup,
)  # fmt: skip

#: Every recording by the name of its builder.
ALL: dict[str, Document] = {build.__name__: build() for build in _BUILDERS}


def _file_sets() -> dict[str, dict[str, Document]]:
    """Return the real sessions in ``../shared/samples``, their documents by kind; empty without that directory."""
    found: dict[str, dict[str, Document]] = {}
    for path in sorted(_SAMPLES.glob("*_*.json")):
        kind, _, session_id = path.stem.partition("_")
        found.setdefault(session_id, {})[kind] = json.loads(path.read_bytes())
    return found


_SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"
#: Real sessions: their files by kind.
FILE_SETS = _file_sets()
#: Every run with a history: those built here, and the real ones if they are available.
RUNS = ALL | {f"sample {name}": files["history"] for name, files in FILE_SETS.items() if "history" in files}


def progress_of(history: Document, whole: Document | None = None) -> Document:
    """Return the robot's snapshot after the last entry of a recorded run.

    Args:
        history: the run so far.
        whole: the complete history, if *history* is a prefix of it: an error that is part of the end has the context
            "finalizacao" even before the final entry is written.
    """
    entries: list[Entry] = history["historico"]
    all_entries = entries if whole is None else whole["historico"]
    total = history["total_etapas"]
    steps = [entry for entry in entries if not isinstance(entry["etapa"], str)]
    last_step = steps[-1] if steps else {"etapa": 0, "mensagem": ""}
    ends = [entry for entry in entries if entry["etapa"] == "final"]
    extra: Document = {}
    for entry in entries:
        if entry["etapa"] == "estimativas":
            extra["estimativas_tela_5"] = entry["dados_extra"]
        else:
            extra.update(entry["dados_extra"] or {})
    return {
        "etapa_atual": total if ends else min(last_step["etapa"], total),
        "total_etapas": total,
        "percentual": 100.0 if ends else min(last_step["etapa"] / total * 100, 100.0),
        "status": [entry["status"] for entry in entries if entry["etapa"] not in ("estimativas", "erro")][-1],
        "mensagem": last_step["mensagem"],
        "timestamp_inicio": history["timestamp_inicio"],
        "timestamp_atualizacao": history["timestamp_fim"],
        "dados_extra": extra,
        "erros": [
            {"erro": entry["erro"], "contexto": _context(all_entries, index), "timestamp": entry["timestamp"]}
            for index, entry in enumerate(entries)
            if entry["etapa"] == "erro"
        ],
        "session_id": history["session_id"],
    }


def _context(entries: list[Entry], index: int) -> str:
    """Return the context of an error: "finalizacao" right before a final entry, as part of the run's end; else ""."""
    last = index + 1 == len(entries)
    return "finalizacao" if not last and entries[index + 1]["etapa"] == "final" else ""


def result_of(history: Document) -> Document | None:
    """Return the robot's ``result_<sid>.json``; None before the run's end."""
    ends = [entry for entry in history["historico"] if entry["etapa"] == "final"]
    if not ends:
        return None
    written = datetime.fromisoformat(ends[-1]["timestamp"]) - timedelta(microseconds=600)
    return {
        "status": ends[-1]["status"],
        "timestamp_fim": written.isoformat(timespec="microseconds"),
        "dados_finais": ends[-1]["dados_extra"] or {},
        "session_id": history["session_id"],
    }


def prefixes(history: Document) -> list[Document]:
    """Return the history as it was after each of its entries."""
    entries = history["historico"]
    return [
        {**history, "historico": entries[:length], "timestamp_fim": entries[length - 1]["timestamp"]}
        for length in range(1, len(entries) + 1)
    ]


# -- arbitrary runs, for hypothesis

#: Text that JSON escapes can express, lone surrogates included.
any_text = st.text(st.characters(exclude_categories=()), max_size=8)
#: Any JSON value.
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
json_objects: st.SearchStrategy[Document] = st.dictionaries(any_text, json_values, max_size=4)

_texts = st.sampled_from(("", "Tela 5 concluída", MANUAL, "linha\nnova")) | st.text(max_size=8)
_numbers: st.SearchStrategy[float] = st.integers(-2, 20) | st.sampled_from((0.5, 5.5, 14.999, 10**30))
_extras = st.none() | json_objects


def _entries(etapa: st.SearchStrategy[Any], extra: st.SearchStrategy[Any], **more: Any) -> st.SearchStrategy[Entry]:
    known = {
        "etapa": etapa,
        "timestamp": st.datetimes().map(datetime.isoformat),
        "status": st.sampled_from(("executando", "success", "error", "warning", "Timeout", "canceled", "")) | _texts,
        "mensagem": _texts,
        "dados_extra": extra,
        "erro": st.none() | _texts,
    }
    return st.fixed_dictionaries(known | more)


#: Entries of ``historico`` by kind: those of our writers and of deployed robots, and some with unknown words.
ENTRIES: dict[str, st.SearchStrategy[Entry]] = {
    "inicio": _entries(st.just("inicio"), st.none()),
    "step": _entries(_numbers, _extras),
    "step with estimates": _entries(_numbers, _extras, estimativas=json_objects),
    "estimates": _entries(st.just("estimativas"), json_objects),
    "estimates of nothing": _entries(st.just("estimativas"), st.none()),
    "error": _entries(st.just("erro"), st.none()),
    "error with its context": _entries(st.just("erro"), st.none(), contexto=_texts),
    "final": _entries(st.just("final"), _extras | st.builds(plans)),
    "unknown word": _entries(st.sampled_from(("pausa", "captcha")), _extras),
}
any_entries: st.SearchStrategy[list[Entry]] = st.lists(st.one_of(*ENTRIES.values()), max_size=12)
