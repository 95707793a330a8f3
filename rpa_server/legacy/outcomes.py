"""The deployed pages' words for every outcome, in one table. No other module of legacy/ lists all outcomes.

For a member of Estado without a case here, mypy reports an error and the import of this module fails.
"""

from typing import Literal, NamedTuple, assert_never

from ..progress.outcome import Estado


class DeployedWords(NamedTuple):
    """The words of the deployed answers for one outcome; all but ``dashboard`` are None while the run goes on.

    Attributes:
        dashboard: the key under which ``metrics`` counts runs with this outcome.
        status: the ``status`` inside ``progress``; if None, progress_answer.status() decides. With ``success`` the
            answer also has 100 % and the price.
        top_level: the ``status`` beside ``progress``, read by a single page that also understands ``manual_quotation``.
        last: the ``status`` of the last message of ``progress_sse.php``; None if no last message is sent.
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
#: For an outcome of a newer tracker, which has no case here: pages stop as for a failure, the dashboard shows a running
#: session.
_UNKNOWN = DeployedWords("running", "error", "error", "error")


def deployed_words(estado: Estado) -> DeployedWords:
    """Return the words for an outcome; for an unknown one, which a newer tracker wrote, see _UNKNOWN."""
    return _TABLE.get(estado, _UNKNOWN)
