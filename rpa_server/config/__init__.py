"""Settings: one frozen object, built once from a JSON file and the environment.

The tracker and the server read the same file and the same variables, and no other module interprets these. A wrong
value is an error of one sentence; no value is corrected silently.
"""

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from .. import assets, origins, safejson
from ..errors import BadDocument, ConfigError, explain
from .values import Directory, Origins, RedisUrl, Whole

_PORT = validate.Range(min=0, max=65535)
_HOST = validate.Regexp(r"[A-Za-z0-9._:-]+\Z", error="Not a host name or address.")


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
    port = Whole(validate=_PORT)
    max_connections = Whole(validate=validate.Range(min=1))
    heartbeat_s = fields.Float(validate=validate.Range(min=0.1, max=3600))
    allowed_origins = Origins()


class _Redis(Schema):
    class Meta:
        unknown = RAISE

    host = fields.String(validate=_HOST)
    port = Whole(validate=validate.Range(min=1, max=65535))
    db = Whole(validate=validate.Range(min=0))
    password = fields.String(allow_none=True)


class _File(Schema):
    """Schema of ``conf/websocket_config.json``; also accepts the file of the plan, the project's first design."""

    class Meta:
        unknown = RAISE

    server = fields.Nested(_Server, load_default=dict)
    redis = fields.Nested(_Redis, load_default=dict, allow_none=True)
    redis_url = RedisUrl()
    data_dir = Directory(validate=validate.Length(min=1))
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
        raise ConfigError(f"The settings file {path} can't be read ({error.strerror}); RPA_CONFIG names it.") from None
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
