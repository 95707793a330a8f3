"""Checks an update that begins like one of our tracker's: whoever can publish may put anything behind that beginning.

Pure. Only what folding and the deployed answers rely on is checked; pages get an update as it was published.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any

from ..errors import BadDocument

_Types = Mapping[str, type | tuple[type, ...]]
_REQUIRED: _Types = {
    "evento": str,
    "seq": int,
    "etapa": (int, float),
    "total_etapas": int,
    "timestamp": str,
    "status": str,
    "mensagem": (str, NoneType),
    "dados_extra": (dict, NoneType),
}
_OPTIONAL: _Types = {
    "estimativas": (dict, NoneType),
    "resultado": (dict, NoneType),
    "erro": (str, NoneType),
    "contexto": (str, NoneType),
}


def check(update: Mapping[str, Any]) -> None:
    """Raise BadDocument unless *update* has the keys of a shapes.UpdateMessage with values of the right types."""
    for key, kind in _REQUIRED.items():
        if key not in update or not isinstance(update[key], kind):
            raise BadDocument(f"The update has no {key}, or one of a wrong type.")
    for key, kind in _OPTIONAL.items():
        if key in update and not isinstance(update[key], kind):
            raise BadDocument(f"The update's {key} is of a wrong type.")
    if update["total_etapas"] < 1:
        raise BadDocument("The update is of a run without steps.")
