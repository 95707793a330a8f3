"""Validates external data: HTTP bodies, messages of other publishers, documents of other programs.

marshmallow does the checking. Unknown keys are accepted in messages and documents, since other writers have keys of
their own, but not in HTTP bodies. Updates of our tracker are not checked here, see update.own_update().
"""

from typing import Any, NoReturn, cast

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields, validate, validates_schema

from ..errors import BadDocument, BadRequest, explain
from .shapes import StoredHistory, StoredProgress


class _Step(fields.Field[Any]):
    """The field ``etapa``: a number, or a word such as ``estimativas``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValidationError("must be a number or a word")
        return value


class UnnumberedUpdateSchema(Schema):
    """A message without a position, see shapes.UnnumberedUpdate. All keys are optional; not all are checked."""

    class Meta:
        unknown = INCLUDE

    etapa = _Step()
    mensagem = fields.String(allow_none=True)
    dados_extra = fields.Dict(allow_none=True)
    estimativas = fields.Dict(allow_none=True)


class HistoryEntrySchema(Schema):
    """One element of ``historico`` in a history document."""

    class Meta:
        unknown = INCLUDE

    etapa = _Step(required=True)
    timestamp = fields.String(required=True)
    status = fields.String(required=True)
    mensagem = fields.String(load_default="", allow_none=True)
    dados_extra = fields.Raw(load_default=None, allow_none=True)
    erro = fields.String(load_default=None, allow_none=True)


class HistorySchema(Schema):
    """The history document, ``history_<sid>.json``, as the deployed robot writes it."""

    class Meta:
        unknown = INCLUDE

    timestamp_inicio = fields.String(required=True)
    total_etapas = fields.Integer(load_default=15, validate=validate.Range(min=1), strict=True)
    historico = fields.List(fields.Nested(HistoryEntrySchema), required=True)


class ProgressSchema(Schema):
    """The deployed robot's ``progress_<sid>.json``, which has the same shape as the snapshot in Redis."""

    class Meta:
        unknown = INCLUDE

    etapa_atual = fields.Float(load_default=0.0)
    total_etapas = fields.Integer(load_default=15, validate=validate.Range(min=1), strict=True)
    percentual = fields.Float(load_default=0.0)
    status = fields.String(load_default="")
    mensagem = fields.String(load_default="", allow_none=True)
    timestamp_inicio = fields.String(load_default="")
    timestamp_atualizacao = fields.String(load_default="")
    dados_extra = fields.Dict(load_default=dict, allow_none=True)
    erros = fields.List(fields.Raw(), load_default=list)


class PublicationSchema(Schema):
    """The body of ``POST /api/sessions/{session}/events``: a step, an error, or the end."""

    class Meta:
        unknown = RAISE

    etapa = fields.Float()
    mensagem = fields.String(load_default="", validate=validate.Length(max=2000))
    dados_extra = fields.Dict(load_default=None, allow_none=True)
    estimativas = fields.Dict(load_default=None, allow_none=True)
    total_etapas = fields.Integer(load_default=15, strict=True, validate=validate.Range(min=1, max=1000))
    erro = fields.String(validate=validate.Length(max=2000))
    contexto = fields.String(load_default="", validate=validate.Length(max=2000))
    status_final = fields.String(validate=validate.Length(min=1, max=64))
    dados_finais = fields.Dict(load_default=None, allow_none=True)
    erro_final = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=2000))

    @validates_schema
    def _one_kind(self, data: dict[str, Any], **kwargs: Any) -> None:
        if sum(key in data for key in ("etapa", "erro", "status_final")) != 1:
            raise ValidationError("give exactly one of etapa, erro, status_final")


_unnumbered_update, _history, _progress = UnnumberedUpdateSchema(), HistorySchema(), ProgressSchema()
_publication = PublicationSchema()


def unnumbered_update(data: object) -> dict[str, Any]:
    """Check a message that has no position; return it with all its keys, or raise BadDocument."""
    errors = _unnumbered_update.validate(data) if isinstance(data, dict) else {"_schema": "not an object"}
    if errors or not isinstance(data, dict):
        _bad(ValidationError(dict(errors)))
    return data


def history(data: dict[str, Any]) -> StoredHistory:
    """Check a history document and fill in the optional keys that it omits, or raise BadDocument."""
    try:
        return cast("StoredHistory", dict(_history.load(data)))
    except ValidationError as error:
        _bad(error)


def progress(data: dict[str, Any]) -> StoredProgress:
    """Check a progress document and fill in the optional keys that it omits, or raise BadDocument.

    ``session_id``, ``estado`` and ``final`` are not checked; documents.from_progress() fills them in.
    """
    try:
        return cast("StoredProgress", dict(_progress.load(data)))
    except ValidationError as error:
        _bad(error)


def publication(data: dict[str, Any]) -> dict[str, Any]:
    """Check the body of a publish request, or raise BadRequest."""
    try:
        return dict(_publication.load(data))
    except ValidationError as error:
        raise BadRequest(f"The body is not valid: {explain(error.messages)}") from None


def _bad(error: ValidationError) -> NoReturn:
    raise BadDocument(f"The document is not valid: {explain(error.messages)}") from None
