"""The allow-list of origins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server.origins import Origins, parse, same_host

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


def allowed(origin: str, *entries: str) -> bool:
    """Tell whether a list of *entries* allows *origin*."""
    return Origins(parse(entries)).allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "",
        "https://good.com.evil",
        "https://good.com.evil.com",
        "https://xgood.com",
        "https://www.good.com",
        "http://good.com",
        "https://good.com:8443",
        "https://good.com:443",
        "https://GOOD.com",
        "HTTPS://good.com",
        "https://good.com/",
        "https://good.com/x",
        "https://good.com.",
        "https://user@good.com",
        "https://good.com@evil.com",
        "https://goodxcom",
        "https://good.com\n",
        " https://good.com",
        "https://good.com https://good.com",
        "good.com",
        "ws://good.com",
        "file://good.com",
    ],
)
def test_what_only_looks_like_an_allowed_origin_is_not_let_in(origin: str) -> None:
    """An origin is allowed only if scheme, host and port equal the entry's, written as browsers write them."""
    assert not allowed(origin, "https://good.com")


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("https://good.com", "https://good.com"),
        ("HTTPS://Good.COM", "https://good.com"),
        ("good.com", "https://good.com"),
        ("https://good.com:443", "https://good.com"),
        ("http://good.com:80", "http://good.com"),
        ("http://good.com:443", "http://good.com:443"),
        ("https://good.com:08443", "https://good.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:5500", "http://127.0.0.1:5500"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://my_shop.good.com", "https://my_shop.good.com"),
        ("https://*.good.com", "https://www.good.com"),
        ("https://*.good.com", "https://a.b-c.good.com"),
        ("*.good.com", "https://www.good.com"),
        ("https://*.good.com:8443", "https://www.good.com:8443"),
        ("*", "https://evil.com"),
        ("*", "null"),
    ],
)
def test_an_entry_lets_in_what_it_says(entry: str, origin: str) -> None:
    """An entry allows its origin: capitals and the default port in it are ignored, and its default scheme is https."""
    assert allowed(origin, "https://other.example", entry) if entry != "*" else allowed(origin, entry)


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.com",
        "https://.good.com",
        "https://xgood.com",
        "https://www.good.com.evil.com",
        "https://evil.com/.good.com",
        "https://evil.com#.good.com",
        "https://evil.com:8443.good.com",
        "http://www.good.com",
        "https://www.good.com:8443",
        "https://wwwxgood.com",
        "https://*.good.com",
        "null",
    ],
)
def test_a_pattern_lets_in_hosts_below_it_alone(origin: str) -> None:
    """A pattern allows subdomains of its host with the same scheme and port, and not the host itself."""
    assert not allowed(origin, "https://*.good.com")


@pytest.mark.parametrize(
    "entry",
    [
        "null",
        "https://good.com/",
        "https://good.com/path",
        "https://good.com?x",
        "https://user@good.com",
        "https://",
        "ws://good.com",
        "ftp://good.com",
        "https://*",
        "https://*.com",
        "https://*good.com",
        "https://www.*.com",
        "https://good.com.",
        "https://.good.com",
        "https://good..com",
        "https://-good.com",
        "https://good.com:",
        "https://good.com:0",
        "https://good.com:65536",
        "https://good.com:x",
        "https://bücher.example",
        "https://a.example https://b.example",
        "*, https://good.com",
        "none, https://good.com",
    ],
)
def test_an_entry_that_is_none_is_refused(entry: str) -> None:
    """An entry that is no origin is refused, since it would allow nobody, or more than was meant."""
    with pytest.raises(ValueError, match=r"no origin|stands alone"):
        parse(entry.split(","))


def test_nobody_else_is_on_an_empty_list() -> None:
    """An empty list, ``none`` and empty texts all allow no origin."""
    assert parse([]) == parse(["none"]) == parse(["", " "]) == ()
    assert not allowed("https://good.com")
    assert not allowed("")


def test_an_entry_is_kept_once() -> None:
    """Entries that mean the same origin are parsed into one, even if they are written differently."""
    assert parse(["https://a.example", "A.example ", "https://a.example:443"]) == ("https://a.example",)


@given(HOSTS, HOSTS)
def test_an_exact_entry_is_equality(entry: str, host: str) -> None:
    """An exact entry for one of any two hosts allows the other only if they are equal."""
    assert allowed(f"https://{host}", entry) == (host == entry)


@given(HOSTS, HOSTS)
def test_a_pattern_is_a_whole_suffix(base: str, host: str) -> None:
    """A host matches a pattern exactly if it ends with all that follows the pattern's ``*``."""
    assert allowed(f"https://{host}", f"*.{base}") == host.endswith("." + base)
    assert allowed(f"https://{host}.{base}", f"*.{base}")


@given(HOSTS, st.integers(1, 65535), st.sampled_from(["http", "https"]))
def test_reading_what_was_read_changes_nothing(host: str, port: int, scheme: str) -> None:
    """Parsing what parse() returned gives the same list."""
    once = parse([f"{scheme}://{host}:{port}"])
    assert parse(once) == once


@given(st.text(max_size=40))
def test_any_text_is_answered(text: str) -> None:
    """Any text can be checked without an exception, and only the entry itself is allowed."""
    assert allowed(text, "https://good.com") == (text == "https://good.com")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://a.example", "a.example", True),
        ("http://a.example", "a.example", True),
        ("https://a.example", "A.example", True),
        ("https://a.example", "a.example:443", True),
        ("http://a.example", "a.example:80", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://a.example", "a.example:443", False),
        ("https://a.example:8443", "a.example", False),
        ("https://a.example", "a.example:8443", False),
        ("https://a.example.evil", "a.example", False),
        ("https://www.a.example", "a.example", False),
        ("null", "null", False),
        ("null", "", False),
        ("https://", "", False),
        ("file://", "", False),
        ("ws://a.example", "a.example", False),
    ],
)
def test_a_page_of_the_same_host_is_known(origin: str, host: str, same: bool) -> None:
    """same_host() compares host and port, not the scheme, which a server behind a proxy does not know."""
    assert same_host(origin, host) is same
