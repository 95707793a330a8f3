"""Names of coverages, under both keys that pages read.

Pure.
"""

from typing import Any, cast

from .shapes import Coverage, Estimates


def with_names(estimates: Estimates | dict[str, Any]) -> Estimates:
    """Copy *estimates* so that every coverage has both ``nome`` and ``nome_cobertura``: pages read either."""
    copied = cast("Estimates", {**estimates})
    items = copied.get("coberturas_detalhadas")
    if isinstance(items, list):
        copied["coberturas_detalhadas"] = [_named(item) for item in items]
    return copied


def _named(item: Coverage) -> Coverage:
    if not isinstance(item, dict):  # a robot may put anything into the list
        return item
    name = item.get("nome") or item.get("nome_cobertura") or ""
    return {**item, "nome": name, "nome_cobertura": item.get("nome_cobertura") or name}
