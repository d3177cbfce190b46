"""The proxy's JSON is `json`'s, and needs none of its imports for what is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.stdio import json_text

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def outcome(decode: Any, data: bytes) -> str:
    try:
        return repr(decode(data))
    except ValueError as error:
        return repr(error)


@pytest.mark.requirement("stdio:starts-fast")
@given(VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.text(" \t\r\n\u00a0"), st.booleans())
def test_a_text_is_what_json_takes_it_for(value: object, encoding: str, space: str, ascii_only: bool) -> None:
    text = space + json.dumps(value, ensure_ascii=ascii_only) + space
    data = text.encode(encoding, errors="surrogatepass")
    assert outcome(json_text.decode, data) == outcome(json.loads, data)


@pytest.mark.requirement("stdio:starts-fast")
@given(st.binary() | st.text('{}[]":,\\u0123 eE+-.tfnNI').map(str.encode))
def test_what_is_no_json_is_refused_as_json_does(data: bytes) -> None:
    assert outcome(json_text.decode, data) == outcome(json.loads, data)


@pytest.mark.requirement("stdio:starts-fast")
@pytest.mark.parametrize(
    ("text", "imported"),
    [('{"a": [1, 2.5, "x", null]}', False), ('{"a": }', True), ('{"a": ', True), ("[NaN]", True)],
)
def test_json_is_imported_only_for_what_is_none(text: str, *, imported: bool) -> None:
    code = (
        "import sys; from codewords_mcp.stdio import json_text\n"
        "try: print(json_text.decode(sys.argv[1].encode()))\n"
        "except ValueError as error: print(error)\n"
        "print('json' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, text],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    reply, last = ended.stdout.splitlines()
    assert reply in outcome(json.loads, text.encode())
    assert last == str(imported)
