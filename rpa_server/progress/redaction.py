"""What a robot may hand out of the form that somebody filled in, and no page of a stranger may see.

Pure. The answers of the deployed system are open to whoever knows a session's id, so what goes into them passes
through here: prices, coverages and step texts do, the person does not. What foreign robots write or publish passes
through here already when it is read, since the native addresses hand it out, too.

A field is left out for its name: for any word in it, however it is written (``cpfCondutor``, ``CPF ``, ``placa_veiculo``).
Within texts that is masked which can't be much else: a CPF, a CNPJ with its slash, a telephone number, an e-mail
address, a CEP with its dash. A plate of the new kind (ABC1D23) or with a dash (ABC-1234) is masked wherever it stands
in capitals; ABC1234 might as well be a model (GOL1600) or a price (BRL4631,57), so it is behind the word "placa" or
where it is the whole value. There small letters and a space are a plate, too, and so are digits without a dash a CEP
behind "CEP". Plain numbers are a person's under a telling name only.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Any

#: Words of which one in a name is enough.
_WORDS = frozenset(
    {
        "cpf", "cnpj", "rg", "cnh", "documento", "nascimento", "nasc", "birth", "birthdate", "sexo", "genero",
        "telefone", "celular", "fone", "phone", "tel", "ddd", "whatsapp", "email", "mail", "placa", "chassi", "renavam",
        "cep", "endereco", "logradouro", "address", "senha", "password", "token", "authorization", "login", "usuario",
        "username", "secret", "apikey", "cookie",
    }
)  # fmt: skip
#: Whose person it is; of a price or a coverage (``capital_segurado``) it is not.
_PEOPLE = frozenset({"cliente", "segurado", "condutor", "proprietario"})
_PRICED = frozenset(
    {"valor", "capital", "importancia", "premio", "limite", "cobertura", "franquia", "danos", "app", "plano", "assistencia"}
)
#: With one of these a name is a person's wherever it stands.
_WHOSE = frozenset({"mae", "pai", "completo", "completa", "social", "full", "first", "last"})
#: What tells even where it is glued to other words (``datanascimento``, ``cpfcondutor``).
_GLUED = re.compile(
    "cpf|cnpj|nascimento|telefone|celular|whatsapp|password|logradouro|endereco|renavam|chassi|nomecompleto"
)
#: Documents that hold a whole form.
_FORMS = frozenset({"dadospessoais", "formulario", "form", "parametros", "parametrosentrada"})
#: A coverage has a ``nome`` too, so a name is a person's only beside something else of theirs.
_NAMES = frozenset({"nome", "name"})
#: Who asks knows it already, and it may look like anything.
_IDS = frozenset({"session_id", "session"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Runs of digits begin and end where no other digit stands, nor that of a fraction or of a hexadecimal id.
_CPF = r"(?<!\d)(?<!\d\.)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?![\da-f])"
_CNPJ = r"(?<!\d)(?<!\d\.)\d{2}\.?\d{3}\.?\d{3}/\d{4}-?\d{2}(?!\d)"
_PHONE = (
    r"(?<!\d)(?:"
    r"(?:\+55\s?)?\(?\d{2}\)?\s?9?\d{4}-\d{4}"
    r"|(?:\+55\s?)?\(\d{2}\)\s?9?\d{4}\s?\d{4}"
    r"|\+55\s?\d{2}\s?9?\d{4}\s?\d{4}"
    r"|55[1-9]\d9\d{8}"
    r"|[1-9]\d\s9\d{4}\s?\d{4}"
    r")(?!\d)"
)
_CEP = r"(?<![\d.])\d{5}-\d{3}(?!\d)|(?<=[Cc][Ee][Pp][ :])\s?\d{8}(?!\d)"
_NUMBERS = re.compile("|".join((_CNPJ, _CPF, _PHONE, _CEP)))
# Begins where a word does, and gives nothing back: else a long word without an @ takes the square of its length.
_EMAIL = re.compile(r"(?<![\w.+-])(?:[\w.+-]++@[\w-]++(?:\.[\w-]++)++)++")
#: Prices, months and norms look like plates.
_NO_PLATE = r"(?!(?:BRL|USD|EUR|ANO|ISO|JAN|FEV|MAR|ABR|MAI|JUN|JUL|AGO|SET|OUT|NOV|DEZ)[- ]?\d{4}(?!\w))"
_PLATE = re.compile(rf"\b(?:[A-Z]{{3}}-?\d[A-Z]\d{{2}}|{_NO_PLATE}[A-Z]{{3}}-\d{{4}})\b")
_NAMED_PLATE = re.compile(
    r"(?i)\b(placas?\W{1,5}(?:(?:d[oae]|veículo|veiculo|carro)\W{1,3}){0,2})[a-z]{3}[- ]?\d[a-z0-9]\d{2}\b"
)
_WHOLE_PLATE = re.compile(rf"(?i)\s*{_NO_PLATE}[a-z]{{3}}[- ]?\d[a-z0-9]\d{{2}}\s*")
_WHOLE_PHONE = re.compile(r"\s*[1-9]\d[ -][2-9]\d{3,4}[ -]?\d{4}\s*")
#: Without it there is none of all these in a text.
_WORTH = re.compile(r"\d[A-Za-z0-9]\d\d|\d-\d\d")
_MASK = "***"
#: No plate and no telephone number is longer.
_WHOLE = 20
#: As deep as wirejson.plain() goes.
_MAX_DEPTH = 50
#: Names that are remembered are no longer; one of a megabyte would stay for good.
_REMEMBERED = 64


def text(value: str) -> str:
    """Return *value* with what looks like a person's masked; see above for what does."""
    if "@" in value:
        value = _EMAIL.sub(_MASK, value)
    if _WORTH.search(value) is None:
        return value
    if len(value) <= _WHOLE and (_WHOLE_PLATE.fullmatch(value) or _WHOLE_PHONE.fullmatch(value)):
        return _MASK
    value = _NAMED_PLATE.sub(rf"\1{_MASK}", _PLATE.sub(_MASK, value))
    return _NUMBERS.sub(_MASK, value)


def redact(value: Any, _depth: int = 0) -> Any:
    """Return a copy of *value*, which JSON can hold, without a person's data at any depth; null below 50 levels."""
    if isinstance(value, str):
        return text(value)
    if not isinstance(value, (dict, list)):
        return value
    if _depth >= _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return _mapping(value, _depth + 1)
    return [redact(item, _depth + 1) for item in value]


def _mapping(given: dict[str, Any], depth: int) -> dict[str, Any]:
    kinds = {key: _kind(key) if len(key) <= _REMEMBERED else _kind.__wrapped__(key) for key in given}
    hidden = ("person", "name") if "person" in kinds.values() else ("person",)
    return {
        key: item if kinds[key] == "id" and isinstance(item, str) else redact(item, depth)
        for key, item in given.items()
        if kinds[key] not in hidden
    }


@lru_cache(maxsize=4096)
def _kind(key: str) -> str:
    """Return what a name is of: ``person``, ``name`` where it may be a person's, ``id``, or nothing of these."""
    if key in _IDS:
        return "id"
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    words = _words(plain)
    glued = "".join(character for character in plain.lower() if character.isalpha())
    if words & _WORDS or glued in _FORMS or "estadocivil" in glued or _GLUED.search(plain.lower()):
        return "person"
    if (words & _PEOPLE and not words & _PRICED) or (words & _NAMES and words & _WHOSE):
        return "person"
    return "name" if glued in _NAMES else ""


def _words(plain: str) -> set[str]:
    """Return the words of a name, in the singular: those between separators, and those that capitals begin."""
    parts = re.split(r"[^A-Za-z]+", plain)
    humps = _WORD.findall(plain)
    pairs = (first + second for first, second in pairwise(humps))  # e-mail, WhatsApp
    words = {word.lower() for word in (*parts, *humps, *pairs)}
    return words | {word[: -len(end)] for word in words for end in ("s", "es") if word.endswith(end)}
