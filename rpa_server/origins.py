"""Decides which web origins pages may come from: an allow-list of exact origins and ``*.`` host patterns.

Pure: it works on text and uses neither requests nor settings. The value of an ``Origin`` header is compared as it is,
since browsers send a normal form (RFC 6454: lower case, no default port); a form that no browser sends matches nothing.
"""

import re
from collections.abc import Iterable

#: The entry that allows every origin; parse() then returns ``(ANY,)``.
ANY = "*"
_NONE = "none"
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_ENTRY = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\*(?:\.{_LABEL}){{2,}}|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def parse(entries: Iterable[str]) -> tuple[str, ...]:
    """Parse the entries of an allow-list into the form that Origins takes.

    An entry is ``scheme://host`` or ``scheme://*.host`` (every subdomain, not the host itself), then ``:port`` if
    that is not the scheme's default; the default scheme is https. A single ``*`` allows every origin; a single ``none``
    allows no pages but those of the server's own host.

    Raises:
        ValueError: an entry has none of these forms, or ``*`` or ``none`` is not the only entry; the message is a
            sentence without its full stop.
    """
    texts = [text for entry in entries if (text := entry.strip().lower())]
    if texts in ([ANY], [_NONE]):
        return (ANY,) if texts == [ANY] else ()
    return tuple(dict.fromkeys(map(_canonical, texts)))


def _canonical(text: str) -> str:
    if text in (ANY, _NONE):
        raise ValueError(f"{text} stands alone or not at all")
    match = _ENTRY.fullmatch(text)
    if match is None or text == "null" or not 0 < int(match["port"] or 1) < 65536:
        raise ValueError(
            f"{text!r} is no origin; write https://host or https://*.host, with :port where it is not the usual one"
        )
    scheme = match["scheme"] or "https"
    port = f":{int(match['port'])}" if match["port"] else ""
    return f"{scheme}://{match['host']}{'' if port == _USUAL_PORTS[scheme] else port}"


class Origins:
    """An allow-list of origins.

    Args:
        patterns: what parse() returned.

    Attributes:
        everyone: True if every origin is allowed.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.everyone = patterns == (ANY,)
        self._allowed = re.compile("|".join(map(_expression, patterns))) if patterns else None

    def allows(self, origin: str) -> bool:
        """Tell whether *origin*, the value of an ``Origin`` header, is on the list."""
        return self.everyone or (self._allowed is not None and self._allowed.fullmatch(origin) is not None)

    def connects(self, origin: str | None, host: str) -> bool:
        """Tell whether a client may connect: a program, a page of this *host*, or a page whose origin is on the list.

        Args:
            origin: the value of the ``Origin`` header, None without one: then the client is no browser.
            host: the value of the ``Host`` header.
        """
        return origin is None or same_host(origin, host) or self.allows(origin)


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*\.", r"(?:[a-z0-9_-]+\.)+")


def same_host(origin: str, host: str) -> bool:
    """Tell whether *origin* has the same host and port as *host*, the value of a ``Host`` header.

    Schemes are not compared: behind a proxy that terminates TLS the server does not know the page's scheme.
    """
    scheme, _, authority = origin.partition("://")
    usual = _USUAL_PORTS.get(scheme)
    return usual is not None and authority != "" and authority == host.lower().removesuffix(usual)
