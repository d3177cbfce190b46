"""Parts of `codewords dev` that need no runtime."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.cli.dev.debugger import PathMapping
from codewords_mcp.cli.dev.peers import is_own_user
from codewords_mcp.cli.dev.proxy import foreign
from codewords_mcp.cli.dev.watcher import read_quiet, stamp, workflow_files
from codewords_mcp.cli.new import file_name, files_of, write_files
from codewords_mcp.errors import Conflict, InvalidInput

OWN = [(b"host", b"127.0.0.1:8790")]
HEADER = "# /// script\n# ///\n"


@pytest.mark.requirement("dev:loopback")
@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        [(b"host", b"localhost:8790")],
        [(b"host", b"[::1]:8790")],
        [*OWN, (b"origin", b"http://localhost:3000")],
        # A link on another page may be followed.
        [*OWN, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")],
        [*OWN, (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"cors")],
    ],
)
def test_programs_and_pages_of_this_machine_are_answered(headers: list[tuple[bytes, bytes]]) -> None:
    assert foreign(headers) == ""


@pytest.mark.requirement("dev:loopback")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"evil.example")],
        [(b"host", b"127.0.0.1.evil.example:8790")],
        [(b"host", b"[::1")],
        [*OWN, (b"origin", b"https://evil.example")],
        [*OWN, (b"origin", b"null")],
        [*OWN, (b"origin", b"http://localhost@evil.example")],
        [*OWN, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")],
    ],
)
def test_other_sites_are_not_answered(headers: list[tuple[bytes, bytes]]) -> None:
    assert foreign(headers)


@pytest.mark.requirement("dev:loopback")
@given(host=st.binary(max_size=40), origin=st.binary(max_size=40))
def test_no_host_or_origin_breaks_the_decision(host: bytes, origin: bytes) -> None:
    assert isinstance(foreign([(b"host", host), (b"origin", origin)]), str)


@pytest.mark.anyio
@pytest.mark.requirement("dev:saves")
async def test_a_file_is_read_once_it_is_quiet(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text("one", encoding="utf-8")
    assert await read_quiet(file) == "one"
    before = stamp(file)
    file.write_text("three", encoding="utf-8")
    assert stamp(file) != before
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        await read_quiet(file)
    file.unlink()
    assert stamp(file) is None
    with pytest.raises(InvalidInput, match="cannot be read"):
        await read_quiet(file)


@pytest.mark.requirement("dev:folder")
def test_a_folder_has_the_workflows_that_it_lists_else_those_with_a_header(tmp_path: Path) -> None:
    for name in ("b.py", "a.py"):
        (tmp_path / name).write_text(HEADER, encoding="utf-8")
    (tmp_path / "helpers.py").write_text("x = 1\n", encoding="utf-8")
    assert [path.name for path in workflow_files(tmp_path)] == ["a.py", "b.py"]

    project = tmp_path / "codewords.toml"
    project.write_text('[[workflow]]\nfile = "b.py"\n[[workflow]]\nname = "no file"\n', encoding="utf-8")
    assert [path.name for path in workflow_files(tmp_path)] == ["b.py"]
    project.write_text("workflow = 1\n", encoding="utf-8")
    assert [path.name for path in workflow_files(tmp_path)] == ["a.py", "b.py"]
    project.write_text("[[workflow", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"codewords\.toml"):
        workflow_files(tmp_path)


@pytest.mark.requirement("dev:new")
def test_a_folder_is_named_for_its_template_and_lists_its_secrets(tmp_path: Path) -> None:
    assert file_name({"id": "lead_scoring"}) == "lead-scoring"
    assert file_name({"id": "my_report_0a1b2c3d"}) == "my-report"
    template = {"id": "mail", "title": "Mail", "description": "Sends.", "code": HEADER, "needs": ["SMTP_URL"]}
    files = files_of(template, "mail.py")
    assert 'secrets = ["SMTP_URL"]' in files["codewords.toml"]
    assert "`SMTP_URL`" in files["README.md"]
    assert json.loads(files[".vscode/launch.json"])["configurations"][0]["type"] == "debugpy"

    assert write_files(tmp_path / "new" / "mail", files) == list(files)
    with pytest.raises(Conflict):
        write_files(tmp_path / "new" / "mail", files)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_files(tmp_path / "file" / "mail", files)


def message(content: Any) -> bytes:
    body = json.dumps(content).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.requirement("dev:debugger")
@given(cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=12))
def test_an_editor_that_attaches_gets_the_mapping_of_its_file(cuts: list[int]) -> None:
    before = message({"command": "initialize", "seq": 1})
    attach = message({"command": "attach", "seq": 2, "arguments": {"justMyCode": True}})
    after = b"Content-Length: 9\r\n\r\nany bytes"
    rest, passed = before + attach + after, b""
    mapping = PathMapping("/here/main.py", "/app/main.py")
    for cut in cuts:
        passed, rest = passed + mapping.feed(rest[:cut]), rest[cut:]
    passed += mapping.feed(rest)

    roots = {"localRoot": "/here/main.py", "remoteRoot": "/app/main.py"}
    arguments = {"justMyCode": True, "pathMappings": [roots]}
    assert passed == before + message({"command": "attach", "seq": 2, "arguments": arguments}) + after


@pytest.mark.requirement("dev:debugger")
@pytest.mark.parametrize(
    "sent",
    [
        message(
            {"command": "attach", "arguments": {"pathMappings": [{"localRoot": "/a", "remoteRoot": "/b"}]}}
        ),
        message({"command": "launch"}),
        message([1]),
        message({"command": "attach", "arguments": 1}),
        b"Content-Length: 3\r\n\r\n{{{",
    ],
)
def test_what_else_an_editor_says_passes_as_it_is(sent: bytes) -> None:
    assert PathMapping("/here/main.py", "/app/main.py").feed(sent) == sent


@pytest.mark.requirement("dev:own-user")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_open_connection_has_a_user_and_a_closed_one_none(family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(family) as client:
        host = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::ffff:127.0.0.1"}[family]
        client.connect((host, listener.getsockname()[1]))
        server, peer = listener.accept()
        with server:
            assert is_own_user(peer, server.getsockname())
            assert not is_own_user((peer[0], peer[1] ^ 1), server.getsockname())
            client.close()
            assert not is_own_user(peer, server.getsockname())
    assert not is_own_user(None, None)
