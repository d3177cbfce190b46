"""The runtime opens the browser of the person at its desktop, signed in; nobody else is told that address."""

from __future__ import annotations

import os
import select
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import BIN, FEW, Shell
from tests.support.browser_client import Browser
from tests.support.mcp_clients import over_http, text_of
from tests.support.runtime import make_home

from codewords_mcp.stdio import home as homes

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("pages:desktop")]
MAIL = {"to": "friend@example.org", "subject": "Hello", "text": "Hi"}


class Desktop:
    """A home whose runtime finds a screen, and a stand-in for its browser on PATH that passes on what it is to open."""

    def __init__(self, folder: Path, home: Path, mode: str) -> None:
        self._pipe = folder / "opened"
        os.mkfifo(self._pipe)
        self._fd = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        program = folder / "browser-of-the-test"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" > "{self._pipe}"\n', encoding="utf-8")
        program.chmod(0o755)
        env = {
            "CODEWORDS_PORT": "0",
            "CODEWORDS_OPEN_BROWSER": mode,
            "DISPLAY": ":0",
            "BROWSER": "browser-of-the-test",
        }
        path = os.pathsep.join([str(BIN), str(folder), os.environ["PATH"]])
        self.shell = Shell(home, env | {"SSH_CONNECTION": "", "PATH": path})
        self.shell.serve()
        runtime = homes.find(str(home))
        assert runtime is not None
        self.url = runtime.url
        self.key = (home / "api.key").read_text(encoding="utf-8").strip()

    def opened(self, timeout: float = 30) -> str:
        """What the browser was started with; "" where it was not within these seconds."""
        ready, _, _ = select.select([self._fd], [], [], timeout)
        return os.read(self._fd, 4096).decode().strip() if ready else ""

    def told(self) -> str:
        """All that a person or model can read of it later: logs, and what commands print."""
        logs = [file.read_text(encoding="utf-8", errors="replace") for file in self.shell.home.rglob("*.log")]
        assert any("page opened in the person's browser" in log for log in logs), "the log tells of it"
        doctor = self.shell("codewords", "doctor", "--json")
        return "".join([*logs, doctor.out, doctor.err])

    def close(self) -> None:
        """End the runtime."""
        self.shell("codewords", "stop")
        os.close(self._fd)


@contextmanager
def sitting(folder: Path, mode: str = "auto") -> Generator[Desktop]:
    (folder / "bin").mkdir()
    desktop = Desktop(folder / "bin", make_home(folder / "home", FEW), mode)
    try:
        yield desktop
    finally:
        desktop.close()


@pytest.mark.parametrize(
    ("tool", "arguments", "shown"),
    [
        ("run_workflow", {"workflow_id": "send_email", "input": MAIL}, "friend@example.org"),
        ("set_secret", {"name": "STRIPE_API_KEY"}, "STRIPE_API_KEY"),
        ("connect_integration", {"app": "slack"}, "SLACK_BOT_TOKEN"),
    ],
)
async def test_what_an_assistant_asks_for_is_opened_for_the_person_and_the_address_is_theirs(
    tmp_path: Path, tool: str, arguments: dict[str, Any], shown: str
) -> None:
    with sitting(tmp_path) as desktop:
        async with over_http(f"{desktop.url}/mcp", desktop.key, "2026-07-28") as client:
            result = await client.call_tool(tool, arguments)
        address = desktop.opened()
        assert address.startswith(f"{desktop.url}/sign-in/"), text_of(result)
        token = address.rpartition("/")[2]
        assert token not in result.model_dump_json()
        assert "/sign-in/" not in result.model_dump_json()
        assert token not in desktop.told()
        with Browser() as browser:
            assert shown in browser.look(address).text, "the person is where they are wanted"
            assert token not in desktop.told()


def test_a_page_can_be_opened_again_on_the_desktop_by_who_cannot_sign_in(tmp_path: Path) -> None:
    with sitting(tmp_path) as desktop, Browser() as stranger:
        asked = desktop.shell("codewords", "browser", "pair", "--no-open", "--wait", "0", "--json").json[
            "url"
        ]
        page = stranger.look(asked)
        assert "Open it in my browser" in page.text
        path = asked.removeprefix(desktop.url)
        done = stranger.submit(f"{desktop.url}/sign-in/here", {"to": path})
        assert done.status_code == 200, done.text
        address = desktop.opened()
        token = address.rpartition("/")[2]
        assert token not in done.text + str(done.headers)
        assert not stranger.cookies, "who pressed the button is not signed in by it"
        assert stranger.look(asked).status_code == 401
        assert token not in desktop.told()
        with Browser() as browser:
            assert "Pair this Chrome" in browser.look(address).text


async def test_no_browser_is_opened_where_the_settings_say_never(tmp_path: Path) -> None:
    with sitting(tmp_path, "never") as desktop, Browser() as stranger:
        async with over_http(f"{desktop.url}/mcp", desktop.key, "2026-07-28") as client:
            await client.call_tool("run_workflow", {"workflow_id": "send_email", "input": MAIL})
        asked = desktop.shell("codewords", "browser", "pair", "--no-open", "--wait", "0", "--json").json[
            "url"
        ]
        assert "Open it in my browser" not in stranger.look(asked).text
        path = asked.removeprefix(desktop.url)
        assert stranger.submit(f"{desktop.url}/sign-in/here", {"to": path}).status_code in {429, 503}
        assert desktop.opened(timeout=0) == ""
