"""Settings: one frozen object, built once from a JSON file and the environment.

The tracker and the server read the same file and the same variables, and no other module interprets these. A wrong
value is an error of one sentence; no value is corrected silently.
"""

import codecs
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from . import assets, origins, safejson
from .errors import BadDocument, ConfigError, explain

_PORT = validate.Range(min=0, max=65535)
_HOST = validate.Regexp(r"[A-Za-z0-9._:-]+\Z", error="Not a host name or address.")
_REDIS_URL = "use redis://host:port/db, rediss://…, unix:///path or none, and percent-encode a password's signs."
_SCHEMES = ("redis://", "rediss://", "unix://")
_DATABASE = re.compile("/?|/[0-9]+/?")
_DROPPED = re.compile("[\t\r\n]")
#: The options of an address that a text can give; redis-py's other ones are objects, and a text in their place fails
#: when a connection is used. tests/test_config.py compares this list with redis-py's classes.
_REDIS_OPTIONS = {
    "client_name", "db", "decode_responses", "encoding", "encoding_errors", "health_check_interval", "host",
    "legacy_responses", "lib_name", "lib_version", "max_connections", "password", "path", "port", "protocol",
    "retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout",
    "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_exclude_verify_flags", "ssl_include_verify_flags", "ssl_keyfile", "ssl_min_version", "ssl_password",
    "username",
}  # fmt: skip


class _Whole(fields.Integer):
    """A whole number, from JSON or from the environment; 80.5 and ``true`` are refused, not converted."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class _Origins(fields.Field[tuple[str, ...]]):
    """A list of origins, or one text with the origins separated by commas; becomes what origins.parse() returns."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        entries = value.split(",") if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise ValidationError("Not a list of origins.")
        try:
            return origins.parse(entries)
        except ValueError as error:
            raise ValidationError(f"{error}.") from None


class _RedisUrl(fields.String):
    """An address that redis-py accepts, its scheme in small letters; or the word ``none``, which becomes None."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:  # type: ignore[override]
        url = super()._deserialize(value, attr, data, **kwargs)
        if url.strip().lower() == "none":
            return None
        scheme, colon, rest = url.partition(":")
        url = scheme.lower() + colon + rest  # RFC 3986: capitals mean the same, but redis-py takes none
        _check_redis_url(url)
        return url


@functools.cache  # every tracker of a process reads the settings, and making a TLS context takes 20 ms
def _check_redis_url(url: str) -> None:
    """Raise ValidationError unless redis-py's blocking class and its asyncio class both take *url* and every option in it.

    Also refuses what redis-py would silently replace or drop, and what it only finds out when it uses an option.
    """
    try:
        split = urlsplit(url)
        fields = parse_qsl(split.query, keep_blank_values=True)
        port = split.port
    except ValueError:  # the error's text may contain the password
        raise ValidationError(_REDIS_URL) from None
    options = dict(fields)
    local = split.scheme == "unix"
    place = split.path or options.get("path") if local else split.hostname or options.get("host")
    if not url.startswith(_SCHEMES) or not place or port == 0 or not (local or _DATABASE.fullmatch(split.path)):
        raise ValidationError(_REDIS_URL)
    if local and split.hostname:
        raise ValidationError(f"redis-py would leave out {split.hostname}: write unix:///path, with three slashes.")
    if split.fragment or len(options) < len(fields) or not all(options.values()) or _DROPPED.search(url):
        raise ValidationError(
            "redis-py would leave out a part: give each option once, with a value, and percent-encode a password's signs."
        )
    if unknown := options.keys() - _REDIS_OPTIONS:
        raise ValidationError(f"redis-py does not take an option of the address ('{min(unknown)}').")
    _try_out(url)


def _try_out(url: str) -> None:
    """Raise ValidationError unless redis-py makes connections of *url* and the values of its options can be used."""
    import redis  # imported only here: settings without a redis_url do not need it
    import redis.asyncio

    try:
        for pool in (redis.ConnectionPool, redis.asyncio.ConnectionPool):  # the tracker's class, the server's class
            connection: Any = pool.from_url(url).make_connection()
        found = redis.connection.parse_url(url)
        _check_values(found)
        if url.startswith("rediss:"):
            connection.ssl_context.get()
    except FileNotFoundError:
        return  # it may come later; until then /health/ready names it
    except Exception as error:  # redis-py passes the options on to classes that may raise anything
        raise ValidationError(f"redis-py does not take an option of the address ({error}).") from None


def _check_values(options: dict[str, Any]) -> None:
    """Raise ValueError or LookupError for values that redis-py takes, but that fail when it connects."""
    if not 0 < int(options.get("port", 6379)) < 65536:
        raise ValueError("port must be from 1 to 65535")
    if options.get("db", 0) < 0:
        raise ValueError("db must not be negative")
    if options.get("socket_read_size", 1) < 1:
        raise ValueError("socket_read_size must be at least 1")
    if not re.fullmatch("[!-~]*", options.get("client_name", "")):
        raise ValueError("Redis takes no client_name with blanks or other than ASCII characters")
    if "rpa".encode(options.get("encoding", "utf-8")) != b"rpa":
        raise ValueError("encoding must write ASCII as it is")
    codecs.lookup_error(options.get("encoding_errors", "strict"))
    if "\0" in options.get("path", "") + options.get("host", ""):
        raise ValueError("host and path can't contain NUL")
    options.get("host", "").encode("idna")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; the name of a field that has a unit ends with it.

    Attributes:
        host: address that ``rpa-server serve`` listens on.
        port: port to listen on, 0 for any free one.
        max_connections: limit for open WebSockets, event streams and waiting polls together; further ones are refused.
        redis_url: ``redis://``, ``rediss://`` or ``unix://`` address; None: store in files only.
        data_dir: directory of the JSON files, relative to the working directory.
        heartbeat_s: seconds between heartbeats on an open stream.
        allowed_origins: origins whose pages may read, in the form that origins.parse() returns; pages of the server's
            own host always may.
    """

    host: str = "localhost"
    port: int = 8080
    max_connections: int = 1000
    redis_url: str | None = "redis://localhost:6379/0"
    data_dir: str = "rpa_data"
    heartbeat_s: float = 15.0
    allowed_origins: tuple[str, ...] = (origins.ANY,)


class _Server(Schema):
    class Meta:
        unknown = RAISE

    host = fields.String(validate=validate.Length(min=1))
    port = _Whole(validate=_PORT)
    max_connections = _Whole(validate=validate.Range(min=1))
    heartbeat_s = fields.Float(validate=validate.Range(min=0.1, max=3600))
    allowed_origins = _Origins()


class _Redis(Schema):
    class Meta:
        unknown = RAISE

    host = fields.String(validate=_HOST)
    port = _Whole(validate=validate.Range(min=1, max=65535))
    db = _Whole(validate=validate.Range(min=0))
    password = fields.String(allow_none=True)


class _File(Schema):
    """Schema of ``conf/websocket_config.json``; also accepts the file of the plan, the project's first design."""

    class Meta:
        unknown = RAISE

    server = fields.Nested(_Server, load_default=dict)
    redis = fields.Nested(_Redis, load_default=dict, allow_none=True)
    redis_url = _RedisUrl()
    data_dir = fields.String(validate=validate.Length(min=1))


#: By environment variable, the path of its setting in the file.
ENVIRONMENT = {
    "RPA_HOST": ("server", "host"),
    "RPA_PORT": ("server", "port"),
    "RPA_MAX_CONNECTIONS": ("server", "max_connections"),
    "RPA_HEARTBEAT_S": ("server", "heartbeat_s"),
    "RPA_ALLOWED_ORIGINS": ("server", "allowed_origins"),
    "REDIS_HOST": ("redis", "host"),
    "REDIS_PORT": ("redis", "port"),
    "REDIS_DB": ("redis", "db"),
    "REDIS_PASSWORD": ("redis", "password"),
    "RPA_REDIS_URL": ("redis_url",),
    "RPA_DATA_DIR": ("data_dir",),
}


def load(environ: Mapping[str, str]) -> Settings:
    """Build the settings; environment variables override the file, empty ones count as unset.

    ``RPA_CONFIG`` names the file; without it the packaged ``conf/websocket_config.json`` is read.

    Raises:
        ConfigError: the file can't be read, has an unknown key, or a value is wrong.
    """
    name = environ.get("RPA_CONFIG") or str(assets.directory("conf") / "websocket_config.json")
    values = _check(name, _read(Path(name)))
    for variable, path in ENVIRONMENT.items():
        if text := environ.get(variable):
            change: Any = text
            for key in reversed(path):
                change = {key: change}
            _merge(values, _check(variable, change, partial=True))
    return _settings(values)


def _read(path: Path) -> dict[str, Any]:
    try:
        return safejson.load_object(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"The settings file {path} can't be read ({error.strerror}); RPA_CONFIG names it."
        ) from None
    except BadDocument as error:
        raise ConfigError(f"The settings file {path} can't be used: {error}") from None


def _check(source: str, values: dict[str, Any], partial: bool = False) -> dict[str, Any]:
    try:
        return dict(_File().load(values, partial=partial))
    except ValidationError as error:
        raise ConfigError(f"The setting in {source} is wrong: {explain(error.messages)}") from None


def _merge(values: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            values[key] = {**(values.get(key) or {}), **value}
        else:
            values[key] = value


def _settings(values: dict[str, Any]) -> Settings:
    chosen: dict[str, Any] = dict(values["server"])
    if "data_dir" in values:
        chosen["data_dir"] = values["data_dir"]
    return Settings(**chosen, redis_url=_redis_url(values))


def _redis_url(values: dict[str, Any]) -> str | None:
    if "redis_url" in values:
        url: str | None = values["redis_url"]
        return url
    parts = values["redis"]
    if parts is None:
        return None
    password = f":{quote(parts['password'], safe='')}@" if parts.get("password") else ""
    host = parts.get("host", "localhost")
    host = f"[{host}]" if ":" in host else host
    return f"redis://{password}{host}:{parts.get('port', 6379)}/{parts.get('db', 0)}"
