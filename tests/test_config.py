"""Settings from a file and the environment."""

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server import config
from rpa_server.config import Settings, load, values
from rpa_server.errors import ConfigError
from tests.support.server import ROOT

#: The plan's own file, in exactly its shape.
PLAN = {
    "server": {"host": "localhost", "port": 8080, "max_connections": 1000},
    "redis": {"host": "localhost", "port": 6379, "db": 0},
}

ORIGINS = ("https://a.example", "https://*.b.example")


def settings_file(directory: Path, content: Any) -> dict[str, str]:
    """Write a settings file; return the environment that names it."""
    path = directory / "settings.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return {"RPA_CONFIG": str(path)}


def refused(environ: dict[str, str]) -> str:
    """Return the one sentence with which loading fails."""
    with pytest.raises(ConfigError) as caught:
        load(environ)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(re.findall(r"[.!?](?:\s|$)", text)) == 1, text
    return text


def test_without_anything_the_defaults_hold() -> None:
    """Without variables the packaged file is read, which sets every field to its default."""
    assert load({}) == Settings()


def test_the_plans_file_is_valid_as_it_stands(tmp_path: Path) -> None:
    """The plan's own file is valid, and the settings that it lacks keep their defaults."""
    assert load(settings_file(tmp_path, PLAN)) == Settings()


def test_an_empty_object_is_a_valid_file(tmp_path: Path) -> None:
    """A file with an empty object is valid: no setting is required."""
    assert load(settings_file(tmp_path, {})) == Settings()


def test_every_setting_can_be_set_in_the_file(tmp_path: Path) -> None:
    """The file can set every field."""
    content = {
        "server": {
            "host": "0.0.0.0",
            "port": 9000,
            "max_connections": 7,
            "heartbeat_s": 2.5,
            "allowed_origins": ["https://a.example", "*.b.example"],
        },
        "redis_url": "rediss://:secret@example:6380/3",
        "data_dir": "/srv/rpa",
        "exit_flush_s": 1.5,
    }
    found = load(settings_file(tmp_path, content))
    assert found == Settings("0.0.0.0", 9000, 7, "rediss://:secret@example:6380/3", "/srv/rpa", 1.5, 2.5, ORIGINS)
    _assert_all_differ(found)


def test_every_setting_can_be_set_in_the_environment() -> None:
    """The environment can set every field, without any file."""
    found = load({
        "RPA_HOST": "0.0.0.0",
        "RPA_PORT": "0",
        "RPA_MAX_CONNECTIONS": "7",
        "RPA_HEARTBEAT_S": "0.5",
        "RPA_REDIS_URL": "none",
        "RPA_DATA_DIR": "/srv/rpa",
        "RPA_EXIT_FLUSH_S": "0",
        "RPA_ALLOWED_ORIGINS": "https://a.example, *.b.example",
    })  # fmt: skip
    assert found == Settings("0.0.0.0", 0, 7, None, "/srv/rpa", 0.0, 0.5, ORIGINS)
    _assert_all_differ(found)


def _assert_all_differ(found: Settings) -> None:
    for field in dataclasses.fields(Settings):
        assert getattr(found, field.name) != field.default, field.name


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("RPA_HOST", "::1", "host", "::1"),
        ("RPA_PORT", "9001", "port", 9001),
        ("RPA_MAX_CONNECTIONS", "3", "max_connections", 3),
        ("RPA_HEARTBEAT_S", "1", "heartbeat_s", 1.0),
        ("RPA_DATA_DIR", "other", "data_dir", str(Path.cwd() / "other")),
        ("RPA_EXIT_FLUSH_S", "0.5", "exit_flush_s", 0.5),
        ("RPA_ALLOWED_ORIGINS", "none", "allowed_origins", ()),
        ("RPA_REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
        ("REDIS_HOST", "elsewhere", "redis_url", "redis://elsewhere:6379/0"),
        ("REDIS_PORT", "6400", "redis_url", "redis://localhost:6400/0"),
        ("REDIS_DB", "2", "redis_url", "redis://localhost:6379/2"),
        ("REDIS_PASSWORD", "p@ss/w:rd", "redis_url", "redis://:p%40ss%2Fw%3Ard@localhost:6379/0"),
    ],
)
def test_the_environment_overrides_the_file(tmp_path: Path, variable: str, text: str, field: str, value: object) -> None:
    """A variable overrides its setting in the file and leaves the other settings unchanged."""
    content = {**PLAN, "server": {**PLAN["server"], "heartbeat_s": 99}, "data_dir": "from_file"}
    named = settings_file(tmp_path, content)
    before, after = load(named), load({**named, variable: text})
    assert getattr(after, field) == value
    assert dataclasses.replace(after, **{field: getattr(before, field)}) == before


def test_every_variable_is_tested_here() -> None:
    """This list has every variable; a new one also needs a valid and a wrong value in the other tests."""
    assert set(config.ENVIRONMENT) == {
        "RPA_HOST", "RPA_PORT", "RPA_MAX_CONNECTIONS", "RPA_HEARTBEAT_S", "RPA_DATA_DIR", "RPA_REDIS_URL",
        "RPA_ALLOWED_ORIGINS", "RPA_EXIT_FLUSH_S",
        "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD",
    }  # fmt: skip


@pytest.mark.parametrize("variable", [*config.ENVIRONMENT, "RPA_CONFIG"])
def test_an_empty_variable_counts_as_not_set(variable: str) -> None:
    """An empty variable counts as unset, since compose files pass empty variables on."""
    assert load({variable: ""}) == Settings()


def test_other_variables_are_not_looked_at() -> None:
    """Variables without a setting are ignored: HOST and PORT belong to other programs."""
    assert load({"HOST": "x", "PORT": "x", "RPA_SOMETHING": "x", "SESSION_ID": "x"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RPA_PORT", "http"),
        ("RPA_PORT", "-1"),
        ("RPA_PORT", "65536"),
        ("RPA_PORT", "80.5"),
        ("RPA_PORT", "1e3"),
        ("RPA_MAX_CONNECTIONS", "0"),
        ("RPA_MAX_CONNECTIONS", "many"),
        ("RPA_HEARTBEAT_S", "0"),
        ("RPA_HEARTBEAT_S", "nan"),
        ("RPA_HEARTBEAT_S", "inf"),
        ("RPA_HEARTBEAT_S", "3601"),
        ("RPA_HEARTBEAT_S", "soon"),
        ("RPA_DATA_DIR", "rpa_data\r"),
        ("RPA_DATA_DIR", "rpa\tdata"),
        ("RPA_DATA_DIR", "~nobody-of-this-name/rpa_data"),
        ("RPA_EXIT_FLUSH_S", "-1"),
        ("RPA_EXIT_FLUSH_S", "nan"),
        ("RPA_EXIT_FLUSH_S", "601"),
        ("RPA_ALLOWED_ORIGINS", "https://a.example/"),
        ("RPA_ALLOWED_ORIGINS", "https://a.example, *"),
        ("RPA_ALLOWED_ORIGINS", "null"),
        ("REDIS_PORT", "0"),
        ("REDIS_PORT", "65536"),
        ("REDIS_PORT", "x"),
        ("REDIS_DB", "-1"),
        ("REDIS_DB", "first"),
        ("RPA_REDIS_URL", "localhost:6379"),
        ("RPA_REDIS_URL", "http://localhost"),
        ("RPA_REDIS_URL", "redis://"),
        ("RPA_REDIS_URL", "redis://:6379"),
        ("RPA_REDIS_URL", "redis://localhost:99999"),
        ("RPA_REDIS_URL", "redis://localhost:0"),
        ("RPA_REDIS_URL", "redis://localhost:port"),
        ("RPA_REDIS_URL", "redis://[::1"),
        ("RPA_REDIS_URL", "nil"),
    ],
)
def test_a_wrong_variable_is_one_sentence_that_names_it(variable: str, text: str) -> None:
    """A wrong value is refused in one sentence that names its variable, and never corrected silently."""
    assert variable in refused({variable: text})


@pytest.mark.parametrize(
    "url",
    ["unix://", "redis://localhost/0?socket_timeout=soon", "redis://localhost/0?db=first", "redis://localhost/first",
     "redis://localhost?port=0", "redis://localhost?port=x", "redis://localhost?protocol=4", "redis://localhost?passwort=x",
     "redis://localhost?ssl_ca_certs=/x.pem", "redis://localhost?retry=3", "redis://localhost?parser_class=x",
     "rediss://localhost?ssl_cert_reqs=CERT_NONE"],
)  # fmt: skip
def test_an_address_that_redis_py_refuses_is_refused_here(url: str) -> None:
    """An address that redis-py refuses, or would silently change, is refused before the server starts."""
    assert "RPA_REDIS_URL" in refused({"RPA_REDIS_URL": url})


@pytest.mark.parametrize(
    "url",
    ["redis://h?db=-1", "redis://h/-1", "redis://h/0/1", "redis://h/1_0", "redis://h?port=99999", "redis://h?port=-1",
     "redis://h?client_name=a%20b", "redis://h?client_name=rob%C3%B4", "redis://h?encoding=nope", "redis://h?encoding=utf-16",
     "redis://h?encoding_errors=nope", "redis://h?socket_read_size=0", "redis://h?max_connections=-1",
     "redis://h?retry_on_error=TimeoutError", "redis://h?redis_connect_func=x", "redis://h?credential_provider=x",
     "redis://h?event_dispatcher=x", "redis://h?socket_keepalive_options=x", "redis://h?socket_type=1",
     "redis://h?maintenance_state=x", "redis://h?himport_registry=x", "redis://h?connection_class=x", "redis://h?timeout=3",
     "rediss://h?connection_class=x", "redis://h?ssl_cert_reqs=CERT_NONE", "redis://h?ssl_cert_reqs=none",
     "rediss://h?ssl_cert_reqs=NONE", "rediss://h?ssl_min_version=5", "rediss://h?ssl_min_version=TLSv1_2",
     "rediss://h?ssl_ciphers=nope", "rediss://h?ssl_keyfile=/x.key", "rediss://h?ssl_ca_data=nope",
     "rediss://h?ssl_include_verify_flags=nope", "rediss://h?ssl_include_verify_flags=__class__",
     "rediss://h?ssl_validate_ocsp=yes", "redis://" + "a" * 70, "redis://a..b", "redis://a%00b", "unix:///a%00b",
     "unix:///r.sock?socket_keepalive=yes", "unix:///r.sock?host=h", "redis://h?path=/r.sock", "redis+socket:///r.sock",
     "redis-sentinel://h", "redis:/h", "redis:h"],
)  # fmt: skip
def test_b12_an_address_that_would_fail_later_is_refused_at_start(url: str) -> None:
    """What redis-py takes at first, but can't use once it connects, is refused in one sentence, too."""
    assert "RPA_REDIS_URL" in refused({"RPA_REDIS_URL": url})


@pytest.mark.parametrize(
    "url",
    ["redis://:12#3@h", "redis://user#x@h", "redis://user?x@h", "redis://user:12?x@h", "redis://h/0#x", "redis://h?db=",
     "redis://h?db=1&db=2", "redis://h?flag", "redis://h/0\n", "redis://h\t", "unix://run/redis.sock"],
)  # fmt: skip
def test_b12_no_part_of_an_address_is_left_out(url: str) -> None:
    """A part that redis-py would silently leave out, often the end of a password, is refused."""
    assert "RPA_REDIS_URL" in refused({"RPA_REDIS_URL": url})


def test_b12_every_option_of_redis_py_is_known() -> None:
    """Each option of redis-py's classes is one that an address may give, or an object, or of one class only."""
    import redis
    import redis.asyncio as aio

    def options(*classes: type) -> set[str]:
        made = (each for found in classes for each in found.__mro__ if each.__module__.startswith("redis."))
        return {name for each in made for name in inspect.signature(each).parameters}

    blocking = options(redis.Connection, redis.SSLConnection, redis.UnixDomainSocketConnection, redis.ConnectionPool)
    waiting = options(aio.Connection, aio.SSLConnection, aio.UnixDomainSocketConnection, aio.ConnectionPool)
    objects = {
        "connection_class", "credential_provider", "driver_info", "event_dispatcher", "himport_registry",
        "maint_notifications_config", "maint_notifications_pool_handler", "maintenance_notification_hash",
        "maintenance_state", "orig_host_address", "orig_socket_connect_timeout", "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler", "parser", "parser_class", "redis_connect_func", "retry",
        "retry_on_error", "socket_keepalive_options", "socket_type",
    }  # fmt: skip
    rest = {"self", "args", "kwargs", "connection_kwargs"}
    assert (blocking & waiting) - rest - objects == values._REDIS_OPTIONS


@pytest.mark.parametrize("url", ["REDIS://h:1/2", "Rediss://h", "UNIX:///Run/R.sock"])
def test_b13_a_scheme_may_be_in_capitals(url: str) -> None:
    """The scheme of an address may be in capitals, as in any URL; the rest stays as it is."""
    scheme, _, rest = url.partition(":")
    assert load({"RPA_REDIS_URL": url}).redis_url == f"{scheme.lower()}:{rest}"


def test_a_wrong_option_is_named() -> None:
    """A wrong option of the address is named, but no password, in whichever part of the address it is."""
    assert "'passwort'" in refused({"RPA_REDIS_URL": "redis://localhost?passwort=segredo"})
    for url in ("redis://localhost:segredo", "redis://:segredo@localhost?db=x", "http://:segredo@localhost",
                "redis://:segredo@localhost?passwort=segredo"):  # fmt: skip
        assert "segredo" not in refused({"RPA_REDIS_URL": url})


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "redis://localhost", "a?b", "a#b"])
def test_a_redis_host_that_is_no_host_is_refused(host: str) -> None:
    """A REDIS_HOST that is no host name is refused, since in an address it would mean something else."""
    assert "REDIS_HOST" in refused({"REDIS_HOST": host})


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "redis://user:pw@host:1/5", "rediss://host", "unix:///tmp/r.sock?db=1", "redis://[::1]:6379",
     "redis://host?protocol=3", "redis://host?socket_timeout=2.5&socket_keepalive=yes", "redis://host?client_name=robot",
     "rediss://host?ssl_check_hostname=no&ssl_cert_reqs=none", "rediss://host?ssl_ca_certs=/etc/ca.pem",
     "redis://host/", "redis://host/0/", "redis://?host=h", "redis://h?port=7000", "unix://user:pw@/tmp/r.sock", "redis://ação.example",
     "unix://?path=/tmp/r.sock", "redis://:p%23%3F%40%2F@host", "redis://h?max_connections=1", "redis://h?legacy_responses=no",
     "redis://h?decode_responses=yes&encoding=latin-1&encoding_errors=replace", "redis://h?socket_timeout=nan",
     "redis://h?retry_on_timeout=yes&health_check_interval=3", "redis://h?socket_read_size=1", "redis://h?username=u&password=p",
     "rediss://h?ssl_cert_reqs=optional&ssl_min_version=771", "rediss://h?ssl_ciphers=ECDHE%2BAESGCM",
     "rediss://h?ssl_include_verify_flags=VERIFY_X509_STRICT,VERIFY_X509_PARTIAL_CHAIN", "rediss://h?ssl_ca_path=/etc"],
)  # fmt: skip
def test_addresses_of_redis_pass_untouched(url: str) -> None:
    """An address that redis-py accepts becomes the setting unchanged."""
    assert load({"RPA_REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize("text", ["none", "NONE", " none "])
def test_none_means_files_only(text: str) -> None:
    """With ``none``, in any case and with spaces around it, the server starts without Redis."""
    assert load({"RPA_REDIS_URL": text}).redis_url is None


def test_no_redis_in_the_file_means_files_only(tmp_path: Path) -> None:
    """If ``redis`` is null in the file there is no Redis, unless a variable gives a host or a port."""
    named = settings_file(tmp_path, {"redis": None})
    assert load(named).redis_url is None
    assert load({**named, "RPA_PORT": "1", "RPA_DATA_DIR": "elsewhere"}).redis_url is None
    assert load({**named, "REDIS_HOST": "there"}).redis_url == "redis://there:6379/0"
    assert load({**named, "REDIS_PORT": "7000"}).redis_url == "redis://localhost:7000/0"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_any_password_arrives_as_it_was(password: str) -> None:
    """Any password, also with slashes, at signs or umlauts, reaches redis-py unchanged."""
    import redis

    url = load({"REDIS_PASSWORD": password, "REDIS_HOST": "::1", "REDIS_DB": "3"}).redis_url
    assert url is not None
    client = redis.Redis.from_url(url)
    with client:
        found = client.connection_pool.connection_kwargs
    assert (found["password"], found["host"], found["port"], found["db"]) == (password, "::1", 6379, 3)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ({"server": {"prot": 8080}}, "server.prot"),
        ({"sever": {}}, "sever"),
        ({"server": None}, "server"),
        ({"server": {"port": "http"}}, "server.port"),
        ({"server": {"port": 70000}}, "server.port"),
        ({"server": {"port": True}}, "server.port"),
        ({"server": {"host": ""}}, "server.host"),
        ({"server": {"host": 5}}, "server.host"),
        ({"server": {"max_connections": 0}}, "server.max_connections"),
        ({"server": {"heartbeat_s": 0}}, "server.heartbeat_s"),
        ({"server": {"allowed_origins": "https://a.example/"}}, "server.allowed_origins"),
        ({"server": {"allowed_origins": ["https://a.example", "*"]}}, "server.allowed_origins"),
        ({"server": {"allowed_origins": [5]}}, "server.allowed_origins"),
        ({"server": {"allowed_origins": None}}, "server.allowed_origins"),
        ({"redis": {"db": -1}}, "redis.db"),
        ({"redis": {"password": 5}}, "redis.password"),
        ({"redis": []}, "redis"),
        ({"redis_url": None}, "redis_url"),
        ({"redis_url": "http://localhost"}, "redis_url"),
        ({"redis_url": ""}, "redis_url"),
        ({"data_dir": ""}, "data_dir"),
        ({"data_dir": None}, "data_dir"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_file_and_key(tmp_path: Path, content: Any, named: str) -> None:
    """A broken file, an unknown key and a wrong value are each refused in one sentence with file and key."""
    environ = settings_file(tmp_path, content)
    text = refused(environ)
    assert named in text
    assert environ["RPA_CONFIG"] in text


@pytest.mark.parametrize("key", ["port", "max_connections"])
def test_a_broken_whole_number_in_the_file_is_refused(tmp_path: Path, key: str) -> None:
    """A fraction for a whole number in the file is refused, not rounded."""
    assert f"server.{key}" in refused(settings_file(tmp_path, {"server": {key: 80.7}}))


def test_two_wrong_keys_are_reported_in_one_sentence(tmp_path: Path) -> None:
    """Two wrong keys are named in one sentence, so that both can be corrected at once."""
    text = refused(settings_file(tmp_path, {"server": {"port": "x"}, "redis": {"db": "x"}}))
    assert "server.port" in text
    assert "redis.db" in text


@pytest.mark.parametrize("path", ["/nowhere/settings.json", "/", "/dev/null/x"])
def test_a_file_that_cannot_be_read_is_one_sentence_that_names_the_variable(path: str) -> None:
    """The error for a file that can't be read names the file and RPA_CONFIG; the defaults are not used instead."""
    text = refused({"RPA_CONFIG": path})
    assert path in text
    assert "RPA_CONFIG" in text


def test_the_packaged_file_is_the_one_in_conf() -> None:
    """conf/websocket_config.json is the file that is read by default, and it has the plan's values."""
    content = json.loads((ROOT / "conf" / "websocket_config.json").read_bytes())
    assert load({"RPA_CONFIG": str(ROOT / "conf" / "websocket_config.json")}) == load({})
    assert {key: content["server"][key] for key in PLAN["server"]} == PLAN["server"]
    assert content["redis"] == PLAN["redis"]


def test_c10_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative data directory is one of the first working directory, also in settings that are loaded later."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert load({}).data_dir == str(tmp_path / "rpa_data")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load({"RPA_DATA_DIR": "files"}).data_dir == str(tmp_path / "files")
    assert Settings().data_dir == str(tmp_path / "rpa_data")


def test_c10_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` in the data directory is the home of the user that runs the process, in the file as in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load({"RPA_DATA_DIR": "~/rpa"}).data_dir == str(tmp_path / "rpa")
    assert load(settings_file(tmp_path, {"data_dir": "~"})).data_dir == str(tmp_path)


def test_c10_without_a_working_directory_the_setting_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the working directory was deleted, a relative data directory stays as it is and an absolute one is used."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({}).data_dir == "rpa_data"
    assert load({"RPA_DATA_DIR": "/srv/rpa"}).data_dir == "/srv/rpa"


def test_settings_cannot_be_changed() -> None:
    """Setting a field of the Settings raises FrozenInstanceError."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
