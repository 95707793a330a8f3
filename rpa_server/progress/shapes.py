"""The objects that are stored and sent: every key with its unit, its zone and who writes it.

Types alone, no code. Conventions that hold for all of them:

* A time is ISO 8601 text in the robot's local time, without a zone, to the microsecond. No two machines' times are
  compared; within one run they are.
* A price is text as the insurer's page showed it: ``R$4.631,57``, ``R$ 4.025,00`` with a no-break space, or ``N/A``.
* *Tracker* means rpa_server.tracker, or the server itself on behalf of a robot that publishes over HTTP. *Deployed
  robot* means one that writes its files or Redis keys without us; it knows no ``epoch``, ``seq``, ``estado``, ``final``.
* Objects of other programs may have more keys than are listed. They are passed on, and their values are not trusted: what
  the schemas do not check is checked again where it is used.

ErrorMessage, the object of a refusal, is in errors.py: the root files import nothing from here.

``web/rpa-progress.d.ts`` has what pages get in TypeScript; tests/contract/test_shapes.py compares the two.
"""

from typing import Any, Literal, NotRequired, TypedDict

from .outcome import Estado

Evento = Literal["inicio", "progresso", "estimativas", "erro", "final"]


class PriceRange(TypedDict, total=False):
    """From which to which price a coverage costs. Written by the robot; an unread price is ``""``."""

    de: str
    ate: str


class Benefit(TypedDict, total=False):
    """One line of a coverage. Written by the robot."""

    nome: str
    status: str  # ``incluido`` and the like


class Coverage(TypedDict, total=False):
    """One coverage of the estimates. Written by the robot, but for ``nome``."""

    indice: int  # 1, 2, 3 …
    nome_cobertura: str
    nome: str  # the same name for the pages of the plan; added by with_names() where the robot leaves it out
    valores: PriceRange
    beneficios: list[Benefit]
    texto_completo: str


class Estimates(TypedDict, total=False):
    """What step 5 captured. Written by the robot; to a page it is this object or null, and stays once it was seen."""

    timestamp: str  # when they were captured
    coberturas_detalhadas: list[Coverage]  # may be empty
    resumo: dict[str, Any]  # counts: total_coberturas, total_beneficios, valores_encontrados


class Plan(TypedDict, total=False):
    """One offer at the end of a run. Written by the robot; ``N/A`` stands where it could not read a text."""

    plano: str  # its name
    valor: str  # price
    forma_pagamento: str
    parcelamento: str  # ``anual`` and the like
    valor_franquia: str  # price
    tipo_franquia: str
    valor_mercado: str  # ``100% da tabela FIPE`` and the like
    assistencia: bool
    vidros: bool
    carro_reserva: bool
    danos_materiais: str  # price
    danos_corporais: str  # price
    danos_morais: str  # price
    morte_invalidez: str  # price


class Result(TypedDict, total=False):
    """The offers, by outcome.PLAN_KEYS. Written by the robot with its end, or attached to an earlier step."""

    plano_recomendado: Plan
    plano_alternativo: Plan


class ErrorRecord(TypedDict):
    """One element of ``erros``. Written by the tracker and by the deployed robot alike; an error ends nothing."""

    erro: str  # its text
    contexto: str  # where it happened; ``finalizacao`` means that the robot ended the run with it
    timestamp: str


class Entry(TypedDict):
    """One element of ``historico``: what the robot said once. Written by the tracker and by the deployed robot."""

    etapa: float | str  # the step's number (5.5 exists), or ``inicio``, ``estimativas``, ``erro``, ``final``
    timestamp: str
    status: str  # the robot's word; ``concluido`` means that the last step began
    mensagem: str | None
    dados_extra: NotRequired[dict[str, Any] | None]  # attached; an Estimates with ``estimativas``, a Result with ``final``
    erro: NotRequired[str | None]
    contexto: NotRequired[str]  # tracker only, beside ``erro``
    estimativas: NotRequired[Estimates | None]  # tracker only, of a step that brought them
    seq: NotRequired[int]  # tracker only


class Snapshot(TypedDict):
    """The whole state of a run, as it is kept in memory; without its position. Made by snapshot.reduce()."""

    etapa_atual: float  # 0 to total_etapas
    total_etapas: int  # at least 1; 15 or 5
    percentual: float  # per cent: 0 to 99 while the run goes on, 100 once it has ended, however it did
    status: str  # the robot's last word
    mensagem: str | None  # the robot's last text
    timestamp_inicio: str
    timestamp_atualizacao: str  # of the last change
    dados_extra: dict[str, Any]  # everything attached so far, the estimates under ESTIMATES_KEY, the plans by PLAN_KEYS
    erros: list[ErrorRecord]
    session_id: str
    estado: Estado  # what it means without regard to silence, see snapshot.estado()
    final: bool  # the robot ended the run; never goes back


class View(Snapshot):
    """A snapshot as pages get it: ``estado`` has regard to silence. Made by snapshot.view()."""

    epoch: str | None
    seq: int
    estimativas: Estimates | None
    resultado: Result | None  # null before the end


class UpdateMessage(TypedDict):
    """One step as it is published, stored in the stream and sent to pages. Written by the tracker alone.

    The keys stand in this order; the first four are the head that update.py reads without parsing.
    """

    type: Literal["progress_update"]
    epoch: str  # ``[0-9A-Za-z]{1,64}``, another one for each run
    seq: int  # 1, 2, 3 … within the epoch; those of a robot without a history leave holes
    final: bool
    estado: Estado
    session_id: str
    evento: Evento
    etapa: float
    total_etapas: int
    percentual: float  # per cent, see Snapshot
    status: str
    mensagem: str | None
    timestamp: str
    dados_extra: dict[str, Any]  # attached to this step; {} for ``estimativas`` and ``final``, which have keys of their own
    estimativas: NotRequired[Estimates | None]
    resultado: NotRequired[dict[str, Any]]  # of ``final``: a Result, and whatever else the robot ended with
    erro: NotRequired[str]
    contexto: NotRequired[str]


class UnnumberedUpdate(TypedDict):
    """One step that another program published without a position, as pages get it.

    Written by that program, but for ``type``, which the server adds; what a page needs of the rest is checked by
    schemas.unnumbered_update.
    """

    type: Literal["progress_update"]
    etapa: NotRequired[float | str]
    mensagem: NotRequired[str | None]
    timestamp: NotRequired[str]
    dados_extra: NotRequired[dict[str, Any] | None]
    estimativas: NotRequired[Estimates | None]


# -- what is stored: rpa_data/<kind>_<session>.json, and in Redis rpa:<kind>:<session> (there the stream is the history)


class StoredProgress(Snapshot):
    """``progress``: the snapshot. Written by the tracker with each update, and by the deployed robot without a position."""

    epoch: NotRequired[str]
    seq: NotRequired[int]


class HistoryHead(TypedDict):
    """``history`` but for its entries."""

    session_id: str
    timestamp_inicio: str
    timestamp_fim: str  # of the last entry, whether or not the run has ended
    status_final: str  # the robot's last word, whether or not the run has ended
    total_etapas: int
    epoch: NotRequired[str]
    seq: NotRequired[int]  # that of the last entry


class StoredHistory(HistoryHead):
    """``history``: the last HISTORY entries of the tracker, all of a deployed robot's."""

    historico: list[Entry]


class StoredResult(TypedDict):
    """``result``: how the run ended. Written with its end, by the tracker and by the deployed robot."""

    status: str  # ``success``, ``error`` or ``warning``
    timestamp_fim: str
    dados_finais: dict[str, Any]  # a Result, and whatever else the robot ended with
    session_id: str
    epoch: NotRequired[str]
    seq: NotRequired[int]


class StoredSession(TypedDict):
    """``session``: the run in brief. Written with its end, by the tracker and by the deployed robot."""

    session_id: str
    timestamp_inicio: str
    timestamp_fim: str
    status: str  # as in StoredResult
    total_etapas: int
    etapas_executadas: float  # the last step that was reached
    epoch: NotRequired[str]
    seq: NotRequired[int]


# -- what is sent besides updates; written by the server


class SyncMessage(TypedDict):
    """The first message of every native stream; ``epoch`` and ``seq`` are the position behind it."""

    type: Literal["sync"]
    session_id: str
    epoch: str | None  # null while nothing is known
    seq: int  # 0 while nothing is known
    recovered: bool  # every update behind the client's cursor follows
    snapshot: View | None  # null where the updates follow, or nothing is known
    heartbeat_ms: int  # milliseconds between two signs of life


class ResetMessage(TypedDict):
    """Continuity was lost, or a new run began: what a page showed is to be replaced by the snapshot."""

    type: Literal["reset"]
    session_id: str
    epoch: str | None
    seq: int
    snapshot: View | None


class PollAnswer(TypedDict):
    """The body of ``GET /api/sessions/{session}``."""

    session_id: str
    epoch: str
    seq: int
    recovered: bool  # ``updates`` are all that came behind the client's cursor
    snapshot: View
    updates: list[UpdateMessage]
