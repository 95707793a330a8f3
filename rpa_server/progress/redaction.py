"""Masks personal data: what the visitor filled in must not reach other people's pages.

Pure. Whoever has a session's id can read the deployed answers, so these are redacted: prices, coverages and step texts
stay, personal data is removed. Documents of deployed robots and messages of other writers are already redacted when
they are read, since the native addresses return them, too.

A field is removed if any word in its name is personal, however the name is written (``cpfCondutor``, ``CPF ``,
``placa_veiculo``). In texts only unmistakable forms are masked: a CPF, a CNPJ with its slash, a telephone number, an
e-mail address, a CEP with its dash, a plate of the new kind (ABC1D23) or with a dash (ABC-1234) in capitals. ABC1234
could also be a model (GOL1600) or a price (BRL4631,57), so it is masked only after the word "placa" or as the whole
value; in these two cases a plate in lower case or with a space is masked, too. Eight digits without a dash are a CEP
only after "CEP". A value that is a JSON number is removed only if its field's name is personal.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Any

#: A field name that contains one of these words is personal.
_WORDS = frozenset(
    {
        "cpf", "cnpj", "rg", "cnh", "documento", "nascimento", "nasc", "birth", "birthdate", "sexo", "genero",
        "telefone", "celular", "fone", "phone", "tel", "ddd", "whatsapp", "email", "mail", "placa", "chassi", "renavam",
        "cep", "endereco", "logradouro", "address", "senha", "password", "token", "authorization", "login", "usuario",
        "username", "secret", "apikey", "cookie",
    }
)  # fmt: skip
#: A field name with one of these words is personal, too, unless it also has a word of _PRICED: then the field is a
#: price or a coverage (``capital_segurado``).
_PEOPLE = frozenset({"cliente", "segurado", "condutor", "proprietario"})
_PRICED = frozenset(
    {"valor", "capital", "importancia", "premio", "limite", "cobertura", "franquia", "danos", "app", "plano", "assistencia"}
)
#: A field name with ``nome`` or ``name`` and one of these words is personal (``nome_mae``, ``full_name``).
_WHOSE = frozenset({"mae", "pai", "completo", "completa", "social", "full", "first", "last"})
#: These words are found even without a separator to the next word (``datanascimento``, ``cpfcondutor``).
_GLUED = re.compile(
    "cpf|cnpj|nascimento|telefone|celular|whatsapp|password|logradouro|endereco|renavam|chassi|nomecompleto"
)
#: Fields that contain a whole form: their names, reduced to lower-case letters.
_FORMS = frozenset({"dadospessoais", "formulario", "form", "parametros", "parametrosentrada"})
#: These names are personal only in an object that has another personal field: coverages have a ``nome``, too.
_NAMES = frozenset({"nome", "name"})
#: Not masked: whoever reads a session knows its id, and masking would break ids that look like a CPF.
_IDS = frozenset({"session_id", "session"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# The lookarounds exclude eleven digits within a longer number, a fraction or a hexadecimal id.
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
# Possessive, and matched only from the beginning of a word; otherwise a long word without an @ takes quadratic time.
_EMAIL = re.compile(r"(?<![\w.+-])(?:[\w.+-]++@[\w-]++(?:\.[\w-]++)++)++")
#: Three letters and four digits that are no plate, but a price, a year, a month or a standard.
_NO_PLATE = r"(?!(?:BRL|USD|EUR|ANO|ISO|JAN|FEV|MAR|ABR|MAI|JUN|JUL|AGO|SET|OUT|NOV|DEZ)[- ]?\d{4}(?!\w))"
_PLATE = re.compile(rf"\b(?:[A-Z]{{3}}-?\d[A-Z]\d{{2}}|{_NO_PLATE}[A-Z]{{3}}-\d{{4}})\b")
_NAMED_PLATE = re.compile(
    r"(?i)\b(placas?\W{1,5}(?:(?:d[oae]|veículo|veiculo|carro)\W{1,3}){0,2})[a-z]{3}[- ]?\d[a-z0-9]\d{2}\b"
)
_WHOLE_PLATE = re.compile(rf"(?i)\s*{_NO_PLATE}[a-z]{{3}}[- ]?\d[a-z0-9]\d{{2}}\s*")
_WHOLE_PHONE = re.compile(r"\s*[1-9]\d[ -][2-9]\d{3,4}[ -]?\d{4}\s*")
#: A quick check: a text without a match contains no plate and no number to mask. Most texts have none.
_WORTH = re.compile(r"\d[A-Za-z0-9]\d\d|\d-\d\d")
_MASK = "***"
#: Longer values are not compared with _WHOLE_PLATE and _WHOLE_PHONE.
_MOST_WHOLE = 20
#: The deepest nesting of objects and lists that redact() follows; the same as in safejson.plain().
_MAX_DEPTH = 50
#: A name with more characters is nobody's field name, so the field is removed without a look at the name: normalize()
#: takes quadratic time for the combining marks on a letter.
_LONGEST_NAME = 200


def text(value: str) -> str:
    """Return *value* with personal data replaced by ``***``, see the module's docstring."""
    if "@" in value:
        value = _EMAIL.sub(_MASK, value)
    if _WORTH.search(value) is None:
        return value
    if len(value) <= _MOST_WHOLE and (_WHOLE_PLATE.fullmatch(value) or _WHOLE_PHONE.fullmatch(value)):
        return _MASK
    value = _NAMED_PLATE.sub(rf"\1{_MASK}", _PLATE.sub(_MASK, value))
    return _NUMBERS.sub(_MASK, value)


def redact(value: Any, _depth: int = 0) -> Any:
    """Return a copy of a JSON value without personal fields, its texts masked.

    Objects and lists nested more than 50 levels deep become null.
    """
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
    kinds = {key: _kind(key) if len(key) <= _LONGEST_NAME else "person" for key in given}
    hidden = ("person", "name") if "person" in kinds.values() else ("person",)
    return {
        key: item if kinds[key] == "id" and isinstance(item, str) else redact(item, depth)
        for key, item in given.items()
        if kinds[key] not in hidden
    }


@lru_cache(maxsize=4096)
def _kind(key: str) -> str:
    """Classify a field's name: ``person``, ``name`` (perhaps a person's), ``id``, or ``""``."""
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
    """Return a name's words and their singulars: split at separators and capitals, adjacent pairs also joined."""
    parts = re.split(r"[^A-Za-z]+", plain)
    humps = _WORD.findall(plain)
    pairs = (first + second for first, second in pairwise(humps))  # e-mail, WhatsApp
    words = {word.lower() for word in (*parts, *humps, *pairs)}
    return words | {word[: -len(end)] for word in words for end in ("s", "es") if word.endswith(end)}
