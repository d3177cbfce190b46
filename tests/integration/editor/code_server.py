"""VS Code in a browser: code-server with the packed extension, driven as a person would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.chromium import Tab
from tests.support.npm import OWN_NODE, SERVER_NODE, installed
from tests.support.waiting import until

CODE_SERVER = ("code-server@4.139.1", SERVER_NODE)
_PAGES = (
    "[...document.querySelectorAll('iframe.webview')]"
    ".map(outer => outer.contentDocument?.querySelector('iframe#active-frame')?.contentDocument).filter(Boolean)"
)
_SETTINGS: dict[str, Any] = {
    "security.workspace.trust.enabled": False,
    "workbench.startupEditor": "none",
    "telemetry.telemetryLevel": "off",
    "chat.disableAIFeatures": True,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "window.autoDetectColorScheme": True,
    "editor.minimap.enabled": False,
    "breadcrumbs.enabled": False,
    "extensions.ignoreRecommendations": True,
    # It would tell of the ports of this machine.
    "remote.autoForwardPorts": False,
}
_CODES = {"Enter": (13, "\r"), "Tab": (9, ""), "End": (35, ""), "Backspace": (8, ""), "Escape": (27, "")}


def install_code_server() -> Path:
    """The folder with code-server and what its editor needs, without anything that has to be compiled."""
    folder = installed(*CODE_SERVER)
    editor = folder / "node_modules" / "code-server" / "lib" / "vscode"
    if not (editor / "complete").exists():
        command = ["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=editor, check=True, capture_output=True, timeout=300)
        (editor / "complete").touch()
    return folder


@contextmanager
def served_editor(folder: Path, packed: Path, workspace: Path, settings: dict[str, Any]) -> Generator[str]:
    """The address of an editor with the packed extension. `folder` gets what the editor writes."""
    server = install_code_server()
    (folder / "data" / "User").mkdir(parents=True)
    (folder / "data" / "User" / "settings.json").write_text(
        json.dumps(_SETTINGS | settings), encoding="utf-8"
    )
    program = [str(server / OWN_NODE), str(server / "node_modules/code-server/out/node/entry.js")]
    places = ["--user-data-dir", str(folder / "data"), "--extensions-dir", str(folder / "extensions")]
    env = {**os.environ, "HOME": str(folder)}
    subprocess.run(
        [*program, *places, "--install-extension", str(packed)],
        env=env,
        check=True,
        capture_output=True,
        timeout=120,
    )
    quiet = [
        "--auth",
        "none",
        "--disable-telemetry",
        "--disable-update-check",
        "--disable-getting-started-override",
    ]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, *places, *quiet, "--bind-addr", "127.0.0.1:0", str(workspace)],
            env=env,
            stdout=output,
            stderr=output,
        )
    try:
        yield until(lambda: _address(log), "code-server listens")
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder / "extensions", ignore_errors=True)


def _address(log: Path) -> str:
    lines = [
        line for line in log.read_text(encoding="utf-8").splitlines() if "HTTP server listening on" in line
    ]
    return lines[0].rsplit(" ", 1)[1].rstrip("/") if lines else ""


@dataclass(frozen=True, slots=True)
class CodeEditor:
    """The editor in a tab."""

    tab: Tab

    def open(self, address: str, workspace: Path, file: Path) -> None:
        """Open a file of a folder."""
        payload = json.dumps([["openFile", f"vscode-remote://{file}"]]).replace('"', "%22")
        self.tab.open(f"{address}/?folder={workspace}&payload={payload}")

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements that are shown."""
        script = f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent.replaceAll('\\u00a0', ' '))"
        return self.tab.value(script) or []

    def labels(self, selector: str) -> list[str]:
        """What a screen reader says of the elements."""
        script = f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.getAttribute('aria-label') ?? '')"
        return self.tab.value(script) or []

    def click(self, selector: str, text: str) -> None:
        """Click the first element with this text, once it is there."""
        script = (
            f"(() => {{ const one = [...document.querySelectorAll({json.dumps(selector)})]"
            f".find(one => (one.textContent.replaceAll('\\u00a0', ' ') + (one.getAttribute('aria-label') ?? '')).includes({json.dumps(text)}));"
            " if (!one) return null; const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        x, y = until(lambda: self.tab.value(script), f"{text} is there")
        for kind, button, count in (
            ("mouseMoved", "none", 0),
            ("mousePressed", "left", 1),
            ("mouseReleased", "left", 1),
        ):
            self.tab.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=count)

    def press(self, *keys: str) -> None:
        """Press keys of a keyboard, one after the other."""
        for key in keys:
            number, text = _CODES[key] if key in _CODES else (ord(key.upper()), key)
            code = key if key in _CODES else f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"
            shared = {"key": key, "code": code, "windowsVirtualKeyCode": number}
            self.tab.do(
                "Input.dispatchKeyEvent", type="keyDown", **shared, **({"text": text} if text else {})
            )
            self.tab.do("Input.dispatchKeyEvent", type="keyUp", **shared)

    def insert(self, text: str) -> None:
        """Put a text where the cursor is, as an input method does."""
        self.tab.do("Input.insertText", text=text)

    def webview(self, script: str) -> Any:
        """The first value that is not empty of a script over `page`, the document of a webview."""
        return self.tab.value(f"{_PAGES}.map(page => {script}).find(Boolean) ?? null")
