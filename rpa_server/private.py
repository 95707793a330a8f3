"""What a robot may hand out of the form that somebody filled in, and no page of a stranger may see.

Pure. The answers of the deployed system are open to whoever knows a session's id, so what goes into them passes
through here: prices, coverages and step texts do, the person does not.
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
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PLATE = re.compile(r"\b[A-Z]{3}-?\d[A-Z0-9]\d{2}\b")
_MASK = "***"


def text(value: str) -> str:
    """Return *value* with what looks like a CPF, a phone number, an e-mail address or a number plate masked."""
    for pattern in (_EMAIL, _CPF, _PHONE, _PLATE):
        value = pattern.sub(_MASK, value)
    return value


def scrub(value: Any) -> Any:
    """Return a copy of *value*, which JSON can hold, without a person's data at any depth."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items() if key.lower() not in _hidden(value)}
    return [scrub(item) for item in value] if isinstance(value, list) else value


def _hidden(mapping: dict[str, Any]) -> frozenset[str]:
    return _PRIVATE | _NAMES if any(key.lower() in _PRIVATE for key in mapping) else _PRIVATE
