"""The deployed pages' words for every outcome, in one table. Nothing else in legacy/ lists the outcomes.

mypy fails for a member of Estado that has no case here; so does the import of this module.
"""

from typing import Literal, NamedTuple, assert_never

from ..progress.outcome import Estado


class DeployedWords(NamedTuple):
    """What the deployed answers say of one outcome; None while the run goes on: then its step decides.

    Attributes:
        dashboard: the key under which ``metrics`` counts it.
        status: ``progress.status``. With ``success`` pages also get 100 %, the plans and the price.
        top_level: ``status`` beside ``progress``, which one page alone reads; it knows one word more.
        last: ``status`` of the last message of ``progress_sse.php``.
    """

    dashboard: Literal["pending", "running", "completed", "failed", "stopped"]
    status: Literal["success", "error"] | None
    top_level: Literal["success", "error", "manual_quotation"] | None
    last: Literal["completed", "error", "timeout"] | None


def _words(estado: Estado) -> DeployedWords:
    match estado:
        case Estado.AGUARDANDO:
            return DeployedWords("pending", None, None, None)
        case Estado.EXECUTANDO:
            return DeployedWords("running", None, None, None)
        case Estado.SUCESSO:
            return DeployedWords("completed", "success", "success", "completed")
        case Estado.COTACAO_MANUAL:
            return DeployedWords("failed", "error", "manual_quotation", "error")
        case Estado.ERRO:
            return DeployedWords("failed", "error", "error", "error")
        case Estado.EXPIRADO:
            return DeployedWords("failed", "error", "error", "timeout")
        case Estado.CANCELADO:
            return DeployedWords("stopped", "error", "error", "error")
        case _:
            assert_never(estado)


_TABLE: dict[Estado, DeployedWords] = {estado: _words(estado) for estado in Estado}
#: For a word that a tracker of a newer version wrote: nothing is known of it.
_UNKNOWN = DeployedWords("running", "error", "error", "error")


def deployed_words(estado: Estado) -> DeployedWords:
    """Return the words for an outcome, those of a failure for one of a newer version."""
    return _TABLE.get(estado, _UNKNOWN)
