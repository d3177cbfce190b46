"""`codewords dev`: files that are edited, and what their address answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import pytest
from tests.integration.cli.dev_command import developing, free_port, replace
from tests.integration.cli.terminal import Shell, Terminal
from tests.support.background_runs import with_options
from tests.support.runtime import make_home, workflow
from tests.support.waiting import until

from codewords_mcp.stdio import home as homes

pytestmark = [pytest.mark.slow]


def says(word: str) -> str:
    """A workflow that answers with a word, and logs it."""
    return workflow(
        f'@app.post("/")\nasync def say(body: dict):\n    print("log", "{word}")\n    return "{word}"\n'
    )


@pytest.mark.requirement("dev:answers")
def test_each_request_is_answered_by_what_is_saved_or_with_its_error(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "word.py"
    file.write_text(says("one"), encoding="utf-8")
    # A port that no other test is given when this one is free again.
    with developing(shell, str(file), "--port", str(free_port())) as dev:
        assert dev.ask().json() == "one"
        first = dev.wait("request")
        assert (first["status"], first["path"]) == (200, "/")
        assert dev.wait("log", lambda event: event["message"] == "log one")["run_id"] == first["run_id"]
        draft = next(d for d in shell("codewords", "drafts", "--json").json if d["name"] == "word")
        assert draft["draft_id"] in shell("codewords", "runs", first["run_id"]).out

        file.write_text(says("two"), encoding="utf-8")
        assert dev.ask().json() == "two"

        file.write_text(says("three").replace("return", "return ("), encoding="utf-8")
        broken = dev.ask()
        assert broken.status_code == 500
        error = broken.json()["error"]
        assert (error["code"], error["file"], error["line"]) == ("invalid_script", "word.py", 12)
        assert dev.wait("problem")["line"] == error["line"]

        file.write_text(says("four"), encoding="utf-8")
        assert dev.ask().json() == "four"
        # Whatever the checks of the code find is told beside the answer.
        file.write_text(says("five").replace("return", "print(missing)\n    return"), encoding="utf-8")
        found = dev.wait("checked", lambda event: not event["ready"])["checks"]
        failed = [(check["id"], check["line"]) for check in found if check["status"] == "failed"]
        assert ("lint", 12) in failed
        address = dev.url

    assert "word" not in [d["name"] for d in shell("codewords", "drafts", "--json").json]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(address, trust_env=False)


@pytest.mark.requirement("dev:answers")
def test_a_program_has_its_secrets_and_its_traceback_names_the_file(shell: Shell, tmp_path: Path) -> None:
    assert shell("codewords", "secrets", "set", "DEV_WORD", stdin="sesame").code == 0
    file = tmp_path / "secret.py"
    body = (
        "import os\n"
        '@app.post("/")\nasync def say(body: dict):\n'
        '    return {"long": len(os.environ["DEV_WORD"])}\n'
        '@app.post("/broken")\nasync def broken(body: dict):\n    raise ValueError("wrong")\n'
    )
    file.write_text(workflow(body, env=("DEV_WORD",)), encoding="utf-8")
    with developing(shell, str(file), "--allow") as dev:
        assert dev.ask().json() == {"long": len("sesame")}
        assert dev.ask("broken").status_code == 500
        dev.wait("log", lambda event: f'File "{file}", line ' in event["message"])
    assert shell("codewords", "secrets", "delete", "DEV_WORD").code == 0


@pytest.mark.requirement("dev:project")
def test_a_file_has_the_configuration_of_its_project_and_missing_secrets_are_told(
    shell: Shell, tmp_path: Path
) -> None:
    body = 'import os\n@app.post("/")\nasync def say(body: dict):\n    return os.environ["LIMIT"]\n'
    file, project = tmp_path / "flows" / "limited.py", tmp_path / "codewords.toml"
    file.parent.mkdir()
    file.write_text(workflow(body, env=("LIMIT",)), encoding="utf-8")
    declared = '[[workflow]]\nfile = "flows/limited.py"\nsecrets = ["DEV_OF_THE_PROJECT"]\n[workflow.config]\nLIMIT = 1\n'
    project.write_text(declared, encoding="utf-8")
    # Nothing has to be agreed to: a value of the configuration is no secret.
    with developing(shell, str(file)) as dev:
        assert dev.ask().json() == "1"
        assert dev.wait("secret")["name"] == "DEV_OF_THE_PROJECT"
        checked = dev.wait("checked")["checks"]
        assert [check["message"] for check in checked if check["id"] == "variables"] == []
        project.write_text(declared.replace("LIMIT = 1", "LIMIT = 2"), encoding="utf-8")
        assert dev.ask().json() == "2"
        project.write_text(declared.replace("LIMIT = 1", "LIMIT = ["), encoding="utf-8")
        broken = dev.ask()
        assert (broken.status_code, "codewords.toml:" in broken.json()["error"]["message"]) == (500, True)
        project.write_text(declared, encoding="utf-8")
        assert dev.ask().json() == "1"


@pytest.mark.requirement("dev:saves")
def test_every_way_of_saving_ends_in_the_content_that_is_there(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "saved.py"
    file.write_text(says("one"), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        assert dev.ask().json() == "one"
        replace(file, says("two"))
        assert dev.ask().json() == "two"

        for number in range(30):
            file.write_text(says(f"storm {number}"), encoding="utf-8")
        assert dev.ask().json() == "storm 29"

        # In two writes, as a slow editor does: half a file is no error.
        code = says("whole")
        with file.open("w", encoding="utf-8") as written:
            written.write(code[:200])
            written.flush()
            written.write(code[200:])
        assert dev.ask().json() == "whole"

        file.unlink()
        gone = dev.ask()
        assert gone.status_code == 500
        assert "cannot be read" in gone.json()["error"]["message"]
        file.write_text(says("back"), encoding="utf-8")
        assert dev.ask().json() == "back"


@pytest.mark.requirement("dev:packages")
def test_a_changed_header_is_served_with_its_own_packages(shell: Shell, tmp_path: Path) -> None:
    code = workflow(
        "import importlib.util\n"
        '@app.post("/")\nasync def has(body: dict):\n    return importlib.util.find_spec("httpx") is not None\n'
    )
    file = tmp_path / "packages.py"
    file.write_text(code, encoding="utf-8")
    with developing(shell, str(file)) as dev:
        assert dev.ask().json() is True
        file.write_text(code.replace(', "httpx==0.28.1"', ""), encoding="utf-8")
        assert dev.ask().json() is False


@pytest.mark.requirement("dev:folder")
def test_a_folder_serves_each_of_its_workflows(shell: Shell, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(says(name), encoding="utf-8")
    (tmp_path / "helpers.py").write_text("def help():\n    return 1\n", encoding="utf-8")
    with developing(shell, str(tmp_path)) as dev:
        base = dev.url.removesuffix("first/")
        assert dev.wait("ready")["urls"] == [f"{base}first/", f"{base}second/"]
        assert [
            httpx2.post(f"{base}{name}/", json={}, trust_env=False).json() for name in ("first", "second")
        ] == [
            "first",
            "second",
        ]
        (tmp_path / "third.py").write_text(says("third"), encoding="utf-8")
        dev.wait("served", lambda event: event["file"] == "third.py")
        assert httpx2.post(f"{base}third/", json={}, trust_env=False).json() == "third"
        (tmp_path / "first.py").unlink()
        dev.wait("removed")
        missing = httpx2.post(f"{base}first/", json={}, trust_env=False)
        assert (missing.status_code, missing.json()["error"]["workflows"]) == (404, ["/second/", "/third/"])


_MAILS = """
import httpx, os

@app.post("/")
async def act(body: dict):
    key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=key) as client:
        mail = {"to": "grace@example.com", "subject": "Hello", "text": "Hello"}
        (await client.post("/run/send_email/", json=mail)).raise_for_status()
    return {"sent": 1}
"""


@pytest.mark.requirement("dev:dry-run", "dev:asks")
def test_writes_are_held_and_permissions_asked_for(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "held.py"
    code = with_options(workflow(_MAILS, title="Mails"), 'services = ["send_email"]')
    file.write_text(code, encoding="utf-8")
    with developing(shell, str(file), "--dry-run") as dev:
        # Nobody is there to be asked.
        refused = dev.ask()
        assert refused.status_code == 500
        assert refused.json()["error"]["code"] == "consent_needed"
        assert "send_email" in " ".join(dev.wait("consent")["asks"])

    with developing(shell, str(file), "--dry-run", "--allow") as dev:
        assert dev.ask().json() == {"sent": 1}
        (line,) = dev.wait("held")["lines"]
        assert "send_email" in line
    assert "grace@example.com" not in shell("codewords", "run", "send_email", "--path", "/outbox").out

    # What the deployed version may do is agreed to.
    assert shell("codewords", "deploy", str(file), "--allow").code == 0
    with developing(shell, str(file), "--dry-run") as dev:
        assert dev.ask().json() == {"sent": 1}


@pytest.mark.requirement("dev:asks", "dev:calls")
def test_a_person_is_asked_once_and_calls_the_example_by_enter(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "asked.py"
    code = with_options(workflow(_MAILS, title="Asked"), 'services = ["send_email"]')
    file.write_text(code, encoding="utf-8")
    terminal = Terminal(shell, "codewords", "dev", str(file), "--dry-run", "--call", "{}")
    terminal.expect("Do you agree?")
    terminal.type("y\n")
    terminal.expect('{"sent":1}')
    terminal.expect("Held, not sent: 1")
    file.write_text(code.replace('"sent": 1', '"sent": 2'), encoding="utf-8")
    terminal.expect('{"sent":2}')
    terminal.type("\n")
    terminal.expect("Held, not sent: 1")
    terminal.interrupt()
    assert terminal.end() == 0
    assert terminal.plain.count("Do you agree?") == 1


@pytest.mark.requirement("dev:calls")
def test_the_example_of_the_header_is_called(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    body = '@app.post("/")\nasync def say(body: dict):\n    return body\n'
    file.write_text(with_options(workflow(body), 'example = {name = "Ada"}'), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        dev.wait("checked")
        dev.type("\n")
        assert dev.wait("answer")["text"] == '{"name":"Ada"}'


@pytest.mark.requirement("dev:recovers")
def test_it_goes_on_where_the_runtime_was_killed(tmp_path: Path) -> None:
    shell = Shell(make_home(tmp_path / "home"), {"CODEWORDS_PORT": "0"})
    shell.serve()
    file = tmp_path / "killed.py"
    file.write_text(says("one"), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        assert dev.ask().json() == "one"
        runtime = homes.find(str(shell.home))
        assert runtime is not None
        os.kill(runtime.pid, signal.SIGKILL)
        until(lambda: homes.find(str(shell.home)) is None, "the runtime to be gone")
        assert dev.ask().json() == "one"
        file.write_text(says("two"), encoding="utf-8")
        assert dev.ask().json() == "two"
    assert shell("codewords", "stop").code == 0


@pytest.mark.requirement("dev:recovers")
def test_two_serve_the_same_file_side_by_side(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "twice.py"
    file.write_text(says("one"), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        with developing(shell, str(file)) as other:
            assert dev.url != other.url
            assert (dev.ask().json(), other.ask().json()) == ("one", "one")
        file.write_text(says("two"), encoding="utf-8")
        assert dev.ask().json() == "two"


@pytest.mark.requirement("dev:recovers")
def test_a_draft_that_is_gone_is_made_again(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "deleted.py"
    file.write_text(says("one"), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        assert dev.ask().json() == "one"
        (draft,) = [d for d in shell("codewords", "drafts", "--json").json if d["name"] == "deleted"]
        assert shell("codewords", "delete", draft["draft_id"], "--yes").code == 0
        assert dev.ask().json() == "one"


@pytest.mark.requirement("dev:websockets", "dev:loopback")
def test_websockets_pass_and_pages_of_other_sites_do_not(shell: Shell, tmp_path: Path) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    file = tmp_path / "socket.py"
    body = (
        "from fastapi import WebSocket\n"
        '@app.websocket("/echo")\nasync def echo(socket: WebSocket):\n    await socket.accept()\n'
        "    async for text in socket.iter_text():\n        await socket.send_text(text.upper())\n"
    )
    file.write_text(workflow(body), encoding="utf-8")
    with developing(shell, str(file)) as dev:
        address = dev.url.replace("http", "ws", 1) + "echo"
        with connect(address, proxy=None) as socket:
            socket.send("hello")
            assert socket.recv(timeout=30) == "HELLO"
        with pytest.raises(InvalidStatus):
            connect(address, proxy=None, origin="https://evil.example")  # pyright: ignore[reportArgumentType]
        assert dev.ask(headers={"Origin": "https://evil.example"}).status_code == 403
        assert dev.ask(headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.requirement("dev:new")
def test_a_new_folder_has_a_workflow_that_is_served(shell: Shell, tmp_path: Path) -> None:
    listed = shell("codewords", "new")
    assert "greeting\tbasics" in listed.out
    made = shell("codewords", "new", "greeting", str(tmp_path / "hello"), "--json")
    assert made.json["files"] == [
        "greeting.py",
        "codewords.toml",
        "README.md",
        ".gitignore",
        ".vscode/launch.json",
    ]
    with developing(shell, str(tmp_path / "hello")) as dev:
        assert dev.ask(body={"name": "Ada"}).json() == {"message": "Hello Ada!"}

    (tmp_path / "hello" / "greeting.py").write_text("mine", encoding="utf-8")
    refused = shell("codewords", "new", "greeting", str(tmp_path / "hello"))
    assert refused.code == 2
    assert (tmp_path / "hello" / "greeting.py").read_text(encoding="utf-8") == "mine"
    # Another one in the same folder leaves its README as it is.
    (tmp_path / "hello" / "README.md").write_text("mine", encoding="utf-8")
    second = shell("codewords", "new", "lead_scoring", str(tmp_path / "hello"), "--json")
    assert second.json["files"] == ["lead_scoring.py"]
    assert (tmp_path / "hello" / "README.md").read_text(encoding="utf-8") == "mine"
