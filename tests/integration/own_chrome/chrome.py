"""A real Chromium with the extension, as its person has it: no window of a test's is known to it but by what it shows."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

from tests.support.chromium import FLAGS, Tab, executable
from tests.support.waiting import until
from websockets.sync.client import connect

ID = "opplmjmflhldhomfocimjblknndohalp"
PAGES = f"chrome-extension://{ID}"


class Page(Tab):
    """A page that may go on to another while it is looked at: then a script gives None."""

    def value(self, script: str) -> Any:
        try:
            return super().value(script)
        except AssertionError as error:
            if "context" not in str(error):
                raise
            return None


class Chrome:
    """`granted`: for which sites Chrome's own question, which no program can answer, was answered with yes before."""

    def __init__(self, folder: Path, *, granted: str = "<all_urls>") -> None:
        self.extension = folder / "extension"
        with resources.as_file(resources.files("codewords_mcp") / "extension") as files:
            shutil.copytree(files, self.extension)
        manifest = json.loads((self.extension / "manifest.json").read_text(encoding="utf-8"))
        manifest["host_permissions"] = [granted]
        (self.extension / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        self._profile = folder / "profile"
        self._wires = ExitStack()
        self.start()

    def start(self) -> None:
        program = executable()
        assert program
        flags = [
            *FLAGS,
            "--disable-features=DisableLoadExtensionCommandLineSwitch",
            f"--load-extension={self.extension}",
            f"--user-data-dir={self._profile}",
        ]
        self._process = subprocess.Popen(
            [program, *flags, "about:blank"], stderr=subprocess.PIPE, encoding="utf-8"
        )
        assert self._process.stderr
        self._url = next(line.split()[-1] for line in self._process.stderr if "DevTools listening" in line)

    def stop(self) -> None:
        self._wires.close()
        self._process.terminate()
        self._process.communicate(timeout=120)

    def targets(self) -> list[dict[str, Any]]:
        """What is open: pages and workers."""
        with connect(self._url, max_size=None, proxy=None) as wire:
            wire.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            return next(m["result"]["targetInfos"] for m in map(json.loads, wire) if m.get("id") == 1)

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], bool], what: str, seconds: float = 20
    ) -> dict[str, Any]:
        """The first target like this."""

        def first() -> dict[str, Any] | None:
            return next(filter(wanted, self.targets()), None)

        target = until(first, what, seconds)
        assert target is not None
        return target

    def attach(self, target_id: str) -> Tab:
        """One of them, to be looked at."""
        wire = self._wires.enter_context(connect(self._url, max_size=None, proxy=None))
        asked = {"targetId": target_id, "flatten": True}
        wire.send(json.dumps({"id": 1, "method": "Target.attachToTarget", "params": asked}))
        answer = next(m for m in map(json.loads, wire) if m.get("id") == 1)
        found = Page(wire, answer["result"]["sessionId"])
        found.do("Runtime.enable")
        return found

    def page(self, url: str, *, width: int = 400, height: int = 600) -> Tab:
        """A page in a tab of its own."""
        with connect(self._url, max_size=None, proxy=None) as wire:
            asked = {"url": url, "width": width, "height": height, "newWindow": True}
            wire.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": asked}))
            answer = next(m for m in map(json.loads, wire) if m.get("id") == 1)
        found = self.attach(answer["result"]["targetId"])
        shown = "location.href !== 'about:blank' && document.readyState"
        until(lambda: found.value(shown) == "complete", f"{url} to load")
        return found

    def open_at(self, prefix: str) -> Tab:
        """The page whose address begins like this, once there is one."""
        target = self.wait_for(lambda t: t["type"] == "page" and t["url"].startswith(prefix), prefix)
        return self.attach(target["targetId"])

    def worker(self) -> Tab:
        """The extension's worker."""
        target = self.wait_for(lambda t: t["type"] == "service_worker" and ID in t["url"], "the worker")
        return self.attach(target["targetId"])

    def close(self, target_id: str) -> None:
        """Close a page, as its person does."""
        with connect(self._url, max_size=None, proxy=None) as wire:
            wire.send(
                json.dumps({"id": 1, "method": "Target.closeTarget", "params": {"targetId": target_id}})
            )
            next(m for m in map(json.loads, wire) if m.get("id") == 1)

    def popup(self) -> Tab:
        """What the icon shows, in a tab."""
        return self.page(f"{PAGES}/popup.html")

    def icon(self, beside: str) -> Tab:
        """What the icon shows when it is pressed beside a page: the popup itself."""
        before = {target["targetId"] for target in self.targets()}
        window = f"chrome.tabs.query({{}}).then(tabs => tabs.find(tab => tab.url === {json.dumps(beside)}).windowId)"
        self.worker().value(f"{window}.then(windowId => chrome.action.openPopup({{windowId}}))")
        popup = self.wait_for(
            lambda t: t["targetId"] not in before and t["url"] == f"{PAGES}/popup.html", "the popup"
        )
        return self.attach(popup["targetId"])

    def pair(self, address: str) -> str:
        """Pair it by what its person pastes; what the popup says then."""
        popup = self.popup()
        until(
            lambda: popup.value("!document.querySelector('#pairing').hidden"),
            "the popup to ask for an address",
        )
        popup.value(f"document.querySelector('#address').value = {json.dumps(address)}")
        popup.value("document.querySelector('#typed').requestSubmit()")
        connected = "document.querySelector('#state.connected')?.textContent"
        said = f"document.querySelector('#problem').textContent || {connected} || ''"
        until(lambda: popup.value(said), "the pairing to end")
        return str(popup.value(said))

    def asks(self, visiting: Future[Any]) -> bool:
        """Whether its person is asked about a site before this is done."""
        asking = f"{PAGES}/ask.html"
        until(
            lambda: visiting.done() or any(t["url"].startswith(asking) for t in self.targets()),
            "it to be done",
        )
        return not visiting.done()

    def allow(self, site: str) -> None:
        """Press Allow where the person is asked about a site."""
        page = self.open_at(f"{PAGES}/ask.html")
        until(
            lambda: page.value("document.querySelector('#site')?.textContent") == site,
            f"to be asked about {site}",
        )
        press(page, "#allow")


def press(page: Tab, selector: str) -> None:
    """Press a button, as a person does: Chrome asks for sites only then."""
    page.do("Runtime.evaluate", expression=f"document.querySelector('{selector}').click()", userGesture=True)
