"""The kinds of values that settings have, checked by marshmallow."""

import codecs
import functools
import os
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from marshmallow import ValidationError, fields

from .. import origins

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


class Whole(fields.Integer):
    """A whole number, from JSON or from the environment; 80.5 and ``true`` are refused, not converted."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Origins(fields.Field[tuple[str, ...]]):
    """A list of origins, or one text with the origins separated by commas; becomes what origins.parse() returns."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        entries = value.split(",") if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise ValidationError("Not a list of origins.")
        try:
            return origins.parse(entries)
        except ValueError as error:
            raise ValidationError(f"{error}.") from None


class Directory(fields.String):
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


class RedisUrl(fields.String):
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
