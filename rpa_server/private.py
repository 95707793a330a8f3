"""What a robot may hand out of the form that somebody filled in, and no page of a stranger may see.

Pure. The answers of the deployed system are open to whoever knows a session's id, so what goes into them passes
through here: prices, coverages and step texts do, the person does not. What foreign robots write or publish passes
through here already when it is read, since the native addresses hand it out, too.
"""

import re
from typing import Any

#: Names of form fields, of documents that hold a whole form, and of secrets; compared without case.
_PRIVATE = frozenset(
    {
        "cpf", "cnpj", "rg", "cnh", "telefone", "celular", "phone", "whatsapp", "ddd", "email", "e-mail", "placa",
        "chassi", "renavam", "cep", "endereco", "endereço", "logradouro", "nome_completo", "nome_segurado",
        "nome_condutor", "nome_cliente", "cliente", "segurado", "condutor", "proprietario", "proprietário",
        "data_nascimento", "nascimento", "sexo", "estado_civil", "senha", "password", "token", "cookie", "cookies",
        "dados_pessoais", "formulario", "formulário", "form", "parametros", "parâmetros", "parametros_entrada",
    }
)
#: A coverage has a ``nome`` too, so a name is a person's only beside something else of theirs.
_NAMES = frozenset({"nome", "name"})

_CPF = re.compile(r"(?<!\d)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?!\d)")
_PHONE = re.compile(r"(?<!\d)(?:\+55\s?)?\(?\d{2}\)?\s?9?\d{4}-\d{4}(?!\d)")
# Begins where a word does, and gives nothing back: else a long word without an @ takes the square of its length.
_EMAIL = re.compile(r"(?<![\w.+-])(?:[\w.+-]++@[\w-]++(?:\.[\w-]++)++)++")
_PLATE = re.compile(r"\b[A-Z]{3}-?\d[A-Z0-9]\d{2}\b")
_CEP = re.compile(r"(?<![\d.])\d{5}-\d{3}(?!\d)")
_MASK = "***"
#: As deep as wirejson.plain() goes.
_MAX_DEPTH = 50


def text(value: str) -> str:
    """Return *value* with what looks like a CPF, a phone number, an e-mail address, a number plate or a CEP masked."""
    for pattern in (_EMAIL, _CPF, _PHONE, _PLATE, _CEP):
        value = pattern.sub(_MASK, value)
    return value


def scrub(value: Any, _depth: int = 0) -> Any:
    """Return a copy of *value*, which JSON can hold, without a person's data at any depth; null below 50 levels."""
    if isinstance(value, str):
        return text(value)
    if not isinstance(value, (dict, list)):
        return value
    if _depth >= _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        hidden = _hidden(value)
        return {key: scrub(item, _depth + 1) for key, item in value.items() if key.lower() not in hidden}
    return [scrub(item, _depth + 1) for item in value]


def _hidden(mapping: dict[str, Any]) -> frozenset[str]:
    return _PRIVATE | _NAMES if any(key.lower() in _PRIVATE for key in mapping) else _PRIVATE
