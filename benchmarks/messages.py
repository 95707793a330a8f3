"""The messages that are published: the bytes of a tracker's update, with a sequence number and the time of sending.

Pure. All sessions have the same epoch, so that one template serves them all.
"""

from datetime import datetime

from rpa_server.progress.run import Run

EPOCH = "5f0c9a1be2d34c77"
#: Sequence number of the first published message. Number 1, the start, is in the run that stored() returns.
FIRST = 2

_BEGAN = datetime(2025, 10, 9, 19, 19, 39, 930000)
_BEGAN_MS = 1_760_048_379_930
#: A server goes on with the runs of a writer like this when something is published over HTTP.
_WRITER = "http1be2"
_TIME = 1111111111111111
#: The text of every step.
TEXT = "Selecionando tipo de veículo"


def session_id(number: int) -> str:
    """Return the id of session *number*; load.c puts the same six digits into its paths."""
    return f"bench-{number:06d}"


def stored(name: str, updates: int = 1) -> Run:
    """Return a run of *updates* updates, as the tracker would have stored it before anything is published."""
    run = Run(name, EPOCH, _BEGAN, 15, _BEGAN_MS, _WRITER)
    run.start(_BEGAN)
    extend(run, updates - 1)
    return run


def extend(run: Run, updates: int) -> None:
    """Add *updates* updates to *run*, each about as long as those of message()."""
    for _ in range(updates):
        extra = {"tela": "selecao_tipo_veiculo", "tentativa": 1, "duracao_ms": 1840}
        run.step(1 + run.seq % 14, TEXT, _BEGAN, extra)


def _template() -> bytes:
    run = stored(session_id(0))
    raw = run.step(5, TEXT, _BEGAN, {"t": _TIME, "tela": "selecao_tipo_veiculo", "tentativa": 1}).raw
    raw = raw.replace(b"%", b"%%").replace(session_id(0).encode(), b"%b")
    return raw.replace(b'"seq":%d,' % FIRST, b'"seq":%d,').replace(b"%d" % _TIME, b"%d")


_TEMPLATE = _template()


def message(name: bytes, number: int, sent_us: int) -> bytes:
    """Return update *number* of the session *name*: about 450 bytes.

    Args:
        sent_us: the time of sending, in microseconds since 1970.
    """
    return _TEMPLATE % (number, name, sent_us)
