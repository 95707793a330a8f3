"""The objects that are stored and sent: for every key its unit, its time zone and who writes it.

Only types, no code. Conventions for all of them:

* A time is ISO 8601 text in the robot's local time, without a zone, to the microsecond. No two machines' times are
  compared; within one run they are.
* A price is text as the insurer's page showed it: ``R$4.631,57``, ``R$ 4.025,00`` with a no-break space, or ``N/A``.
* *Tracker* means rpa_server.tracker, or the server itself on behalf of a robot that publishes over HTTP. *Deployed
  robot* means one that writes its files or Redis keys without us; it knows no ``epoch``, ``seq``, ``estado``, ``final``.
* Objects of other programs may have more keys than are listed. They are passed on, and their values are not trusted: what
  the schemas do not check is checked again where it is used.

ErrorMessage, the object of a refusal, is in errors.py: the root files import nothing from here.

``web/rpa-progress.d.ts`` declares in TypeScript what pages get; tests/contract/test_shapes.py compares the two.
"""

from typing import Any, Literal, NotRequired, TypedDict

from .outcome import Estado

Evento = Literal["inicio", "progresso", "estimativas", "erro", "final"]


class PriceRange(TypedDict, total=False):
    """A coverage's lowest and highest price. Written by the robot; a price that was not read is ``""``."""

    de: str
    ate: str


class Benefit(TypedDict, total=False):
    """One line of a coverage. Written by the robot."""

    nome: str
    status: str  # ``incluido`` and the like


class Coverage(TypedDict, total=False):
    """One coverage of the estimates. Written by the robot, except ``nome``."""

    indice: int  # 1, 2, 3 …
    nome_cobertura: str
    nome: str  # ``nome`` again, for the pages of the plan; with_names() adds it if the robot omits it
    valores: PriceRange
    beneficios: list[Benefit]
    texto_completo: str


class Estimates(TypedDict, total=False):
    """What step 5 captured. Written by the robot; pages get this object or null, and keep it once they have it."""

    timestamp: str  # when they were captured
    coberturas_detalhadas: list[Coverage]  # may be empty
    resumo: dict[str, Any]  # counts: total_coberturas, total_beneficios, valores_encontrados


class Plan(TypedDict, total=False):
    """One offer at the end of a run. Written by the robot; ``N/A`` where it could not read a text."""

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
    """One element of ``erros``. Written by the tracker and by the deployed robot; an error does not end the run."""

    erro: str  # its text
    contexto: str  # where it happened; ``finalizacao``: the robot ended the run with this error
    timestamp: str


class Entry(TypedDict):
    """One element of ``historico``: one report of the robot. Written by the tracker and by the deployed robot."""

    etapa: float | str  # the step's number (5.5 exists), or ``inicio``, ``estimativas``, ``erro``, ``final``
    timestamp: str
    status: str  # the robot's word; ``concluido`` means that the last step began
    mensagem: str | None
    dados_extra: NotRequired[dict[str, Any] | None]  # attached; an Estimates for ``estimativas``, a Result for ``final``
    erro: NotRequired[str | None]
    contexto: NotRequired[str]  # tracker only, with ``erro``
    estimativas: NotRequired[Estimates | None]  # tracker only, with a step that has estimates
    seq: NotRequired[int]  # tracker only


class Snapshot(TypedDict):
    """The whole state of a run as kept in memory; without its position. Made by snapshot.reduce()."""

    etapa_atual: float  # 0 to total_etapas
    total_etapas: int  # at least 1; 15 or 5
    percentual: float  # per cent: 0 to 99 while the run goes on, 100 once it has ended, however it ended
    status: str  # the robot's last word
    mensagem: str | None  # the robot's last text
    timestamp_inicio: str
    timestamp_atualizacao: str  # time of the last change
    dados_extra: dict[str, Any]  # everything attached so far: the estimates under ESTIMATES_KEY, the plans by PLAN_KEYS
    erros: list[ErrorRecord]
    session_id: str
    estado: Estado  # the run's meaning without regard to silence, see snapshot.estado()
    final: bool  # the robot has ended the run; never goes back


class View(Snapshot):
    """A snapshot as pages get it: ``estado`` depends on the robot's silence as well. Made by snapshot.view()."""

    epoch: str | None
    seq: int
    estimativas: Estimates | None
    resultado: Result | None  # null before the end


class UpdateMessage(TypedDict):
    """One step as it is published, stored in the stream and sent to pages. Written by the tracker alone.

    The order of the keys is fixed; the first four are the head that update.py reads without parsing JSON.
    """

    type: Literal["progress_update"]
    epoch: str  # ``[0-9A-Za-z]{1,64}``, different for each run
    seq: int  # 1, 2, 3 … within the epoch; with gaps for a robot without a history
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
    dados_extra: dict[str, Any]  # attached to this step; {} for ``estimativas`` and ``final``, which have their own keys
    estimativas: NotRequired[Estimates | None]
    resultado: NotRequired[dict[str, Any]]  # with ``final``: a Result, and any other final data of the robot
    erro: NotRequired[str]
    contexto: NotRequired[str]


class UnnumberedUpdate(TypedDict):
    """One step that another program published without a position, as pages get it.

    Written by that program, except ``type``, which the server adds; schemas.unnumbered_update checks the keys that a page
    needs.
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
    """``history`` without its entries."""

    session_id: str
    timestamp_inicio: str
    timestamp_fim: str  # time of the last entry, even if the run goes on
    status_final: str  # the robot's last status word, even if the run goes on
    total_etapas: int
    epoch: NotRequired[str]
    seq: NotRequired[int]  # that of the last entry


class StoredHistory(HistoryHead):
    """``history``: the tracker's last HISTORY entries, or all entries of a deployed robot."""

    historico: list[Entry]


class StoredResult(TypedDict):
    """``result``: how the run ended. Written at the end, by the tracker and by the deployed robot."""

    status: str  # ``success``, ``error`` or ``warning``
    timestamp_fim: str
    dados_finais: dict[str, Any]  # a Result, and any other final data of the robot
    session_id: str
    epoch: NotRequired[str]
    seq: NotRequired[int]


class StoredSession(TypedDict):
    """``session``: a summary of the run. Written at the end, by the tracker and by the deployed robot."""

    session_id: str
    timestamp_inicio: str
    timestamp_fim: str
    status: str  # as in StoredResult
    total_etapas: int
    etapas_executadas: float  # the furthest step reached
    epoch: NotRequired[str]
    seq: NotRequired[int]


# -- messages other than updates; written by the server


class SyncMessage(TypedDict):
    """The first message of every native stream; ``epoch`` and ``seq`` are the position of its snapshot."""

    type: Literal["sync"]
    session_id: str
    epoch: str | None  # null while nothing is known
    seq: int  # 0 while nothing is known
    recovered: bool  # every update after the client's cursor follows
    snapshot: View | None  # null if the updates follow, or if nothing is known
    heartbeat_ms: int  # milliseconds between the server's signs of life


class ResetMessage(TypedDict):
    """Continuity was lost, or a new run began: the snapshot replaces whatever the page showed."""

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
    recovered: bool  # ``updates`` are all updates after the client's cursor
    snapshot: View
    updates: list[UpdateMessage]
