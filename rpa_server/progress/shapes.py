"""The shapes of the objects that are stored and sent, with the units of their values and who writes them.

Only types, no code. Conventions for all of them:

* A time is ISO 8601 text in the robot's local time, without a zone, to the microsecond; deployed robots have other
  forms, see moments.py. It is for people to read, and is compared only with other times of the same session, never with
  the server's or a visitor's clock: pages get ``idade_ms`` and ``duracao_ms`` to count on from.
* A price is text as the insurer's page showed it: ``R$4.631,57``, ``R$ 4.025,00`` with a no-break space, or ``N/A``.
* *Tracker* means rpa_server.tracker, or the server itself on behalf of a robot that publishes over HTTP. *Deployed
  robot* means one that writes its files or Redis keys without our tracker: these have no ``epoch``, ``seq``, ``estado``
  and ``final``.
* Objects of other programs may have more keys than the types below; the additional keys are passed on. Values of other
  programs are not trusted: what the schemas do not check is checked where it is used.

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
    """One benefit that a coverage lists. Written by the robot."""

    nome: str
    status: str  # ``incluido`` and the like


class Coverage(TypedDict, total=False):
    """One coverage of the estimates. Written by the robot; the server may add ``nome``."""

    indice: int  # 1, 2, 3 …
    nome_cobertura: str
    nome: str  # the same text as ``nome_cobertura``; coverages.with_names() adds it for pages that read this key
    valores: PriceRange
    beneficios: list[Benefit]
    texto_completo: str


class Estimates(TypedDict, total=False):
    """What the robot captured in step 5. Written by the robot; once a page has it, it does not become null again."""

    timestamp: str  # when they were captured
    coberturas_detalhadas: list[Coverage]  # may be empty
    resumo: dict[str, Any]  # counts: total_coberturas, total_beneficios, valores_encontrados


class Plan(TypedDict, total=False):
    """One offer at the end of a run. Written by the robot; ``N/A`` where it could not read a text."""

    plano: str  # the plan's name
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
    """The offers, under outcome.PLAN_KEYS. Written by the robot at the end, or attached to an earlier step."""

    plano_recomendado: Plan
    plano_alternativo: Plan


class ErrorRecord(TypedDict):
    """One element of ``erros``. Written by the tracker and the deployed robot; an error alone does not end the run."""

    erro: str  # the error's text
    contexto: str  # where it happened; ``finalizacao``: the robot ended the run with this error
    timestamp: str


class Entry(TypedDict):
    """One element of ``historico``: one report of the robot. Written by the tracker and by the deployed robot."""

    etapa: float | str  # the step's number (5.5 exists), or ``inicio``, ``estimativas``, ``erro``, ``final``
    timestamp: str
    status: str  # the robot's status word; ``concluido`` means that the last step began
    mensagem: str | None
    dados_extra: NotRequired[dict[str, Any] | None]  # Estimates for ``estimativas``, Result for ``final``
    erro: NotRequired[str | None]
    contexto: NotRequired[str]  # tracker only, with ``erro``
    estimativas: NotRequired[Estimates | None]  # tracker only, with a step that has estimates
    seq: NotRequired[int]  # tracker only
    writer: NotRequired[str]  # tracker only, see UpdateMessage


class Snapshot(TypedDict):
    """The whole state of a run as kept in memory, without its position. Made by snapshot.begin() and reduce()."""

    etapa_atual: float  # 0 to total_etapas
    total_etapas: int  # at least 1; the deployed robots have 15 or 5
    percentual: float  # per cent: 0 to 99 while the run goes on, 100 once it has ended, however it ended
    status: str  # the robot's last status word, see Entry
    mensagem: str | None  # the robot's last text
    timestamp_inicio: str
    timestamp_atualizacao: str  # time of the last change
    dados_extra: dict[str, Any]  # everything attached so far: estimates under ESTIMATES_KEY, plans under PLAN_KEYS
    erros: list[ErrorRecord]
    session_id: str
    estado: Estado  # the run's meaning, not considering how long the robot is silent; see snapshot.estado()
    final: bool  # the robot has ended the run; stays true


class View(Snapshot):
    """A snapshot as pages get it: here ``estado`` also depends on the robot's silence. Made by snapshot.view()."""

    epoch: str | None
    seq: int
    idade_ms: int | None  # milliseconds since the robot's last report; null if the store can't tell
    duracao_ms: int | None  # milliseconds since the run began; null if that is not known
    estimativas: Estimates | None
    resultado: Result | None  # null before the end, or if there are no plans


class UpdateMessage(TypedDict):
    """One update as it is published, stored in the stream and sent to pages.

    Written by the tracker; for a deployed robot the server builds it from documents. The order of the keys is fixed;
    the first four are the head that update.py reads without parsing JSON.
    """

    type: Literal["progress_update"]
    epoch: str  # ``[0-9A-Za-z]{1,64}``, different for each run
    seq: int  # 1, 2, 3 … within the epoch; with gaps for a deployed robot without a history
    final: bool
    began: NotRequired[int]  # tracker only: when the run began, milliseconds since 1970 by the store's clock
    writer: NotRequired[str]  # tracker only: who reported it, ``[0-9a-z]{1,16}``; a forked child is another writer
    estado: Estado
    session_id: str
    evento: Evento
    etapa: float
    total_etapas: int
    percentual: float  # per cent, see Snapshot
    status: str
    mensagem: str | None
    timestamp: str
    dados_extra: dict[str, Any]  # attached data; {} in ``estimativas`` and ``final``, which have it under a key below
    estimativas: NotRequired[Estimates | None]
    resultado: NotRequired[dict[str, Any]]  # with ``final``: a Result, and any other final data of the robot
    erro: NotRequired[str]
    contexto: NotRequired[str]


class UnnumberedUpdate(TypedDict):
    """One step that another program published without a position, as pages get it.

    Written by that program, except ``type``, which the server adds. schemas.unnumbered_update() checks the keys below
    ``type`` except ``timestamp``; personal data is removed.
    """

    type: Literal["progress_update"]
    etapa: NotRequired[float | str]
    mensagem: NotRequired[str | None]
    timestamp: NotRequired[str]
    dados_extra: NotRequired[dict[str, Any] | None]
    estimativas: NotRequired[Estimates | None]


# -- what is stored: rpa_data/<kind>_<session>.json, and in Redis rpa:<kind>:<session> (there the stream is the history)


class StoredProgress(Snapshot):
    """``progress``: the snapshot. Written by the tracker at each update; by the deployed robot, without a position."""

    epoch: NotRequired[str]
    seq: NotRequired[int]
    began: NotRequired[int]  # see UpdateMessage
    stepped: NotRequired[bool]  # the run has reported a step; until then it takes no other live run's place
    writer: NotRequired[str]  # of the last update, see UpdateMessage


class HistoryHead(TypedDict):
    """The stored ``history`` document without its entries."""

    session_id: str
    timestamp_inicio: str
    timestamp_fim: str  # time of the last entry, even if the run goes on
    status_final: str  # the robot's last status word, even if the run goes on
    total_etapas: int
    epoch: NotRequired[str]
    seq: NotRequired[int]  # ``seq`` of the last entry
    began: NotRequired[int]  # see UpdateMessage


class StoredHistory(HistoryHead):
    """``history``: the last HISTORY entries of a tracker's run, or all entries of a deployed robot's run."""

    historico: list[Entry]


class StoredResult(TypedDict):
    """``result``: how the run ended. Written at the end, by the tracker and by the deployed robot."""

    status: str  # the robot's word for the end: ``success``, ``error``, ``warning`` or any other, see outcome.outcome()
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
    etapas_executadas: float  # the snapshot's ``etapa_atual``; the tracker sets it to ``total_etapas`` at the end
    epoch: NotRequired[str]
    seq: NotRequired[int]


# -- what the server sends besides updates


class SyncMessage(TypedDict):
    """The first message of every native stream.

    ``epoch`` and ``seq`` are the position of the snapshot or, if ``recovered``, the position that the updates follow.
    """

    type: Literal["sync"]
    session_id: str
    epoch: str | None  # null while nothing is known
    seq: int  # 0 while nothing is known
    recovered: bool  # every update after the client's cursor follows
    snapshot: View | None  # null if the updates follow, or if nothing is known
    idade_ms: int | None  # as in View; of the newest update, also if that one is still to follow
    duracao_ms: int | None  # as in View
    heartbeat_ms: int  # milliseconds between the server's heartbeats


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
