"""Session ids, and the keys, channels and file names that are built from them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rpa_server.backends.files.names import KINDS, file_name, journal_name, session_of_file
from rpa_server.backends.redis.names import (
    CHANNEL_PATTERN,
    SESSIONS_KEY,
    channel,
    history_key,
    progress_key,
    result_key,
    session_key,
    session_of_channel,
)
from rpa_server.errors import BadSessionId
from rpa_server.progress.session_id import check_session_id, is_session_id

IDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True).filter(lambda text: ".." not in text)
#: Texts of the characters that hostile ids contain (slashes, dots, globs, NUL), mixed with arbitrary characters.
MIXED = st.text(st.sampled_from("aZ0._-/\\*?[]:\0\n ~%é") | st.characters(), max_size=140)


@given(MIXED)
@example("a/b")
@example("a\0b")
@example("a*")
@example("a?")
@example("a[b]")
@example(".a")
@example("-a")
@example("a..b")
@example("a\n")
@example("a" * 129)
@example("")
def test_no_path_glob_or_option_passes_for_a_session_id(text: str) -> None:
    """An accepted id can't leave a directory, match other keys, or be taken for an option."""
    try:
        checked = check_session_id(text)
    except BadSessionId:
        assert not is_session_id(text)
        return
    assert checked == text
    assert 1 <= len(text) <= 128
    assert text.isascii()
    assert not set(text) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert text[0] not in ".-"
    assert ".." not in text


@pytest.mark.parametrize(
    "text", ["2d4c17d1", "teste_php", "rpa_v4_20251009_191930_ab12cd34", "TESTE_LOCAL_20250109", "_", "a.b-c", "a" * 128]
)
def test_ids_as_seen_in_production_are_session_ids(text: str) -> None:
    """Ids of every form seen in production are accepted unchanged, and so are ids of 1 and of 128 characters."""
    assert check_session_id(text) == text


@pytest.mark.parametrize("thing", [None, 5, b"2d4c17d1", ["a"], True])
def test_what_is_no_text_is_no_session_id(thing: object) -> None:
    """A number, bytes, a list, null or true is no session id: nothing is converted to text."""
    assert not is_session_id(thing)


def test_keys_channel_and_files_have_the_deployed_names() -> None:
    """Keys, channels and files have exactly these names, since other programs read and write them."""
    assert progress_key("s1") == "rpa:progress:s1"
    assert history_key("s1") == "rpa:history:s1"
    assert result_key("s1") == "rpa:result:s1"
    assert session_key("s1") == "rpa:session:s1"
    assert channel("s1") == "rpa_progress:s1"
    assert CHANNEL_PATTERN == "rpa_progress:*"
    assert SESSIONS_KEY == "rpa:sessions"
    assert file_name("progress", "s1") == "progress_s1.json"
    assert journal_name("s1") == "updates_s1.jsonl"


@given(IDS)
def test_a_channel_names_its_session(session_id: str) -> None:
    """session_of_channel() returns the session id that channel() was given."""
    assert session_of_channel(channel(session_id).encode()) == session_id


@given(IDS, st.sampled_from(KINDS))
def test_a_file_name_names_its_kind_and_session(session_id: str, kind: str) -> None:
    """session_of_file() returns the kind and the session id that file_name() was given."""
    assert session_of_file(file_name(kind, session_id)) == (kind, session_id)


@given(IDS)
def test_a_journal_names_its_session(session_id: str) -> None:
    """session_of_file() returns the kind ``updates`` for a journal, so it is not taken for a document."""
    assert session_of_file(journal_name(session_id)) == ("updates", session_id)


@pytest.mark.parametrize(
    "name", [b"rpa_progress:", b"rpa_progress:../x", b"rpa_progress:a:b", b"rpa_progress:\xff", b"rpa_progress:a*"]
)
def test_a_channel_with_a_bad_session_id_is_no_sessions(name: bytes) -> None:
    """A channel with the prefix but an invalid id belongs to no session: anybody may publish on it."""
    assert session_of_channel(name) is None


@pytest.mark.parametrize("name", [b"rpa_probe:0123456789abcdef", b"another_prefix:2d4c17d1", b"0123456789abcdef0123"])
def test_a_channel_without_the_prefix_is_no_sessions(name: bytes) -> None:
    """A channel without ``rpa_progress:`` belongs to no session, even if the rest of its name is a valid id."""
    assert session_of_channel(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "progress_.json", "progress_a..b.json", "progress_-a.json", "progress_a", "notes_a.json",
        ".progress_a.json.7.tmp", "progress_a.json.bak", "progress_a.json\n", "result_a b.json",
    ],
)  # fmt: skip
def test_another_file_is_no_sessions(name: str) -> None:
    """Temporary files, files of other programs, and names with an invalid session id belong to no session."""
    assert session_of_file(name) is None


@pytest.mark.parametrize("name", ["progress_a.jsonl", "updates_a.json"])
def test_each_kind_of_file_has_one_suffix_only(name: str) -> None:
    """A document ends with ``.json``, a journal with ``.jsonl``; with the other suffix it belongs to no session."""
    assert session_of_file(name) is None
