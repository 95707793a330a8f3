"""Settings: one frozen object, built once from a JSON file and the environment.

The tracker and the server read the same file and the same variables, and no other module interprets these. A wrong
value is an error of one sentence; no value is corrected silently.
"""

import functools
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from . import assets, origins, safejson
from .errors import BadDocument, ConfigError, explain

_PORT = validate.Range(min=0, max=65535)
_HOST = validate.Regexp(r"[A-Za-z0-9._:-]+\Z", error="Not a host name or address.")
_REDIS_URL = "use redis://host:port/db, rediss://…, unix://path or none."


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
    """An address that redis-py accepts, or the word ``none``, which becomes None."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:  # type: ignore[override]
        url = super()._deserialize(value, attr, data, **kwargs)
        if url.strip().lower() == "none":
            return None
        _check_redis_url(url)
        return url


def _check_redis_url(url: str) -> None:
    """Raise ValidationError unless redis-py accepts *url* and every option in it.

    Also refuses what redis-py would silently replace by a default: a missing host or path, port 0, and a database that
    is not a number.
    """
    import redis  # imported only here: settings without a redis_url do not need it
    import redis.asyncio

    try:
        options = redis.connection.parse_url(url)
        split = urlsplit(url)
        ports = {split.port, int(options.get("port", 6379))}
    except ValueError:  # the error's text may contain the password
        raise ValidationError(_REDIS_URL) from None
    local = split.scheme == "unix"
    if not options.get("path" if local else "host") or 0 in ports:
        raise ValidationError(_REDIS_URL)
    if not (local or split.path in ("", "/") or split.path.strip("/").isdecimal()):
        raise ValidationError(_REDIS_URL)
    try:
        for pool in (redis.ConnectionPool, redis.asyncio.ConnectionPool):  # the tracker's class, the server's class
            pool.from_url(url).make_connection()
    except Exception as error:  # redis-py passes unknown options to the connection class, which may raise anything
        raise ValidationError(f"redis-py does not take an option of the address ({error}).") from None


class _Directory(fields.String):
    """The path of a directory; ``~`` becomes the home of the user that runs the process, as in a shell."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = os.path.expanduser(super()._deserialize(value, attr, data, **kwargs))  # noqa: PTH111 - Path's may raise
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise ValidationError(
                "It has a control character, as Windows line ends leave it; write the directory's path without one."
            )
        if text.startswith("~"):
            raise ValidationError("The home directory that ~ stands for is not known; write the whole path.")
        return text


@functools.cache
def working_directory() -> str:
    """Return the directory in which this process first asked: a robot may change its own between two trackers.

    Raises:
        OSError: there is no working directory any more.
    """
    return str(Path.cwd())


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; the name of a field that has a unit ends with it.

    Attributes:
        host: address that ``rpa-server serve`` listens on.
        port: port to listen on, 0 for any free one.
        max_connections: limit for open WebSockets, event streams and waiting polls together; further ones are refused.
        redis_url: ``redis://``, ``rediss://`` or ``unix://`` address; None: store in files only.
        data_dir: directory of the JSON files; a relative one becomes absolute here, see working_directory().
        exit_flush_s: how many seconds a robot's process may take at its end to hand in what Redis lacks; 0 for none.
        heartbeat_s: seconds between heartbeats on an open stream.
        allowed_origins: origins whose pages may read, in the form that origins.parse() returns; pages of the server's
            own host always may.
    """

    host: str = "localhost"
    port: int = 8080
    max_connections: int = 1000
    redis_url: str | None = "redis://localhost:6379/0"
    data_dir: str = "rpa_data"
    exit_flush_s: float = 5.0
    heartbeat_s: float = 15.0
    allowed_origins: tuple[str, ...] = (origins.ANY,)

    def __post_init__(self) -> None:
        with suppress(OSError):
            object.__setattr__(self, "data_dir", str(Path(working_directory(), self.data_dir)))


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
    data_dir = _Directory(validate=validate.Length(min=1))
    exit_flush_s = fields.Float(validate=validate.Range(min=0, max=600))


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
    "RPA_EXIT_FLUSH_S": ("exit_flush_s",),
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
    chosen |= {key: values[key] for key in ("data_dir", "exit_flush_s") if key in values}
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
