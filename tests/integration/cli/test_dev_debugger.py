"""An editor that debugs a served file, as the Debug Adapter Protocol has it."""

from __future__ import annotations

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.dev_command import developing
from tests.integration.cli.terminal import Shell
from tests.support.dap_client import DapClient
from tests.support.runtime import workflow

pytestmark = [pytest.mark.slow]
_BODY = """
@app.post("/")
async def greet(body: dict):
    name = body["name"]
    message = f"Hello {name}"
    return message
"""


def attach(client: DapClient, file: Path, line: int) -> None:
    """Attach with a breakpoint, and go on."""
    client.ask("initialize", adapterID="python", clientID="tests", pathFormat="path")
    attaching = client.send("attach", justMyCode=True)
    client.event("initialized")
    (point,) = client.ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}])[
        "breakpoints"
    ]
    assert point["verified"], point
    client.ask("configurationDone")
    client.response(attaching)


def local_variables(client: DapClient, thread: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The innermost frame, and its variables by name."""
    frame = client.ask("stackTrace", threadId=thread)["stackFrames"][0]
    scope = client.ask("scopes", frameId=frame["id"])["scopes"][0]
    found = client.ask("variables", variablesReference=scope["variablesReference"])["variables"]
    return frame, {one["name"]: one["value"] for one in found}


@pytest.mark.requirement("dev:debugger")
def test_a_breakpoint_of_the_file_is_hit_in_its_sandbox(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "debugged.py"
    code = workflow(_BODY)
    file.write_text(code, encoding="utf-8")
    line = code.splitlines().index('    message = f"Hello {name}"') + 1
    with (
        developing(shell, str(file), "--debug", "--debug-port", "0") as dev,
        ThreadPoolExecutor(1) as pool,
    ):
        port = dev.wait("debug")["port"]
        for name in ("Ada", "Grace"):
            # One editor after another, with requests between them.
            with DapClient(port) as client:
                attach(client, file, line)
                answer = pool.submit(dev.ask, "", {"name": name})
                stopped = client.event("stopped")
                frame, variables = local_variables(client, stopped["threadId"])
                assert (frame["line"], frame["source"]["path"]) == (line, str(file))
                assert variables["name"] == f"'{name}'"
                client.ask("continue", threadId=stopped["threadId"])
                assert answer.result(60).json() == f"Hello {name}"
                client.ask("disconnect", terminateDebuggee=False)
            assert dev.ask(body={"name": "nobody"}).json() == "Hello nobody"

        file.write_text(code.replace("Hello", "Goodbye"), encoding="utf-8")
        assert dev.ask(body={"name": "Ada"}).json() == "Goodbye Ada"
        with DapClient(port) as client:
            attach(client, file, line)
            answer = pool.submit(dev.ask, "", {"name": "Ada"})
            client.event("stopped")
            # An editor that is closed lets the program go on.
        assert answer.result(60).json() == "Goodbye Ada"


@pytest.mark.requirement("dev:debugger")
def test_only_the_owner_of_a_draft_that_is_debugged_reaches_its_debugger(
    shell: Shell, tmp_path: Path
) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    from codewords_mcp.stdio import home as homes

    file = tmp_path / "plain.py"
    file.write_text(workflow(_BODY), encoding="utf-8")
    runtime = homes.find(str(shell.home))
    assert runtime is not None
    other = shell("codewords", "keys", "create", "--owner", "eve", "--json").json["key"]
    with developing(shell, str(file)) as dev:
        dev.wait("ready")
        (draft,) = [d for d in shell("codewords", "drafts", "--json").json if d["name"] == "plain"]
        base = f"ws{runtime.url.removeprefix('http')}"
        for key, path in (
            (runtime.token, draft["draft_id"]),
            (other, draft["draft_id"]),
            (runtime.token, "draft_000000000000"),
        ):
            with pytest.raises(InvalidStatus) as refused:
                connect(
                    f"{base}/drafts/{path}/debugger",
                    additional_headers={"Authorization": f"Bearer {key}"},
                    proxy=None,
                )
            assert refused.value.response.status_code == 404
        with pytest.raises(InvalidStatus):
            connect(
                f"{base}/debugger",
                additional_headers={"Authorization": f"Bearer {runtime.token}"},
                proxy=None,
            )

    folder = shell("codewords", "dev", str(tmp_path), "--debug")
    both = shell("codewords", "dev", str(file), "--debug", "--dry-run")
    assert (folder.code, both.code) == (2, 2)


@pytest.mark.requirement("dev:own-user")
def test_no_web_page_and_no_other_user_reaches_a_program_that_is_debugged(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "apart.py"
    file.write_text(workflow(_BODY), encoding="utf-8")
    with developing(shell, str(file), "--debug", "--debug-port", "0") as dev:
        port = dev.wait("debug")["port"]
        assert dev.ask(body={"name": "Ada"}).json() == "Hello Ada"
        message = (
            b'{"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "python"}}'
        )
        head = b"Content-Length: %d\r\n\r\n" % len(message)
        # As a page sends it without asking anybody: a form or fetch of plain text.
        page = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nContent-Type: text/plain\r\n"
        assert _answer(port, page + head + message) == b""
        assert _answer(port, head + message, until=b"initialize") != b""

        telnet = ["curl", "--silent", "--max-time", "20", f"telnet://127.0.0.1:{port}"]
        assert _as_nobody(telnet, head + message) == b""
        post = ["curl", "--silent", "--json", '{"name": "Eve"}', dev.url]
        refused = json.loads(_as_nobody(post))
        assert "user who serves it" in json.dumps(refused)


def _as_nobody(command: list[str], data: bytes = b"") -> bytes:
    return subprocess.run(
        command, input=data, user="nobody", stdout=subprocess.PIPE, cwd="/", timeout=60, check=False
    ).stdout


def _answer(port: int, request: bytes, until: bytes = b"") -> bytes:
    """The bytes that come back until these are among them, or the connection ends."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(request)
        found = b""
        while not (until and until in found):
            try:
                piece = connection.recv(4096)
            except ConnectionResetError:
                break
            if not piece:
                break
            found += piece
        return found
