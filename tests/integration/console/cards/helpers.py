"""A chat host with cards: a page with the bridge of ext-apps and a real MCP client, and a sandbox of another origin."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import npm
from tests.support.chromium import Tab
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

FOLDER = Path(__file__).parent
PACKAGES = (
    "@modelcontextprotocol/ext-apps@2.0.4", "@modelcontextprotocol/client@2.4.0", "zod@4.2.1", "esbuild@0.28.2",
)  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'self'"
)
"""The policy that a host has for a card that declares nothing (MCP Apps), and for the frame of the card itself."""
_HOST = b'<!doctype html><meta charset="utf-8"><title>host</title><link rel="icon" href="data:,"><style>body{margin:0}</style><body><script type="module" src="/host.js"></script>'


def host_script() -> bytes:
    """The host with the packages that it uses, in one script."""
    folder = npm.installed(*PACKAGES)
    script = folder / "host.mjs"
    script.write_bytes((FOLDER / "host.mjs").read_bytes())
    program = folder / "node_modules" / ".bin" / "esbuild"
    made = subprocess.run(
        [program, script.name, "--bundle", "--format=esm", "--log-level=error"],
        cwd=folder, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    return made.stdout


@contextmanager
def serving(files: dict[str, tuple[str, bytes]], headers: dict[str, str]) -> Generator[str]:
    """Serve these files by their paths, with these headers; the origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            media, body = files.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(200 if body else 404)
            for name, value in ({"Content-Type": media, "Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="card host")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def host_pages() -> Generator[str]:
    """Serve the host and its sandbox; the address of the host's page."""
    sandbox = {"/": ("text/html", (FOLDER / "sandbox.html").read_bytes())}
    pages = {"/": ("text/html", _HOST), "/host.js": ("text/javascript", host_script())}
    with serving(sandbox, {"Content-Security-Policy": POLICY}) as around, serving(pages, {}) as host:
        yield f"{host}/?sandbox={around}/"


@dataclass(frozen=True, slots=True)
class Host:
    """A host's page in a tab, connected to a runtime."""

    tab: Tab
    served: ServedRuntime
    page: str

    def connect(self, path: str = "/mcp", *, announce: bool = True) -> list[str]:
        """Open the page and connect its client; the names of the tools that it is given."""
        self.tab.open(self.page)
        until(lambda: self.tab.value("document.body.dataset.ready === 'yes'"), "the host's page")
        url, key = json.dumps(self.served.url + path), json.dumps(self.served.key)
        return list(self.tab.value(f"host.connect({url}, {key}, {json.dumps(announce)})"))

    def show(self, tool: str, arguments: dict[str, Any], **options: Any) -> Card:
        """Call a tool and show its card."""
        script = f"host.show({json.dumps(tool)}, {json.dumps(arguments)}, {json.dumps(options)})"
        number = self.tab.value(script)
        assert isinstance(number, int), f"no card of {tool}"
        return Card(self, number)

    def clear(self) -> None:
        """Take the cards away."""
        self.tab.value("host.clear()")


@dataclass(frozen=True, slots=True)
class Card:
    """A card in a host."""

    host: Host
    number: int

    def value(self, script: str) -> Any:
        """The result of a script in the card's document."""
        tab = self.host.tab
        tree = tab.do("Page.getFrameTree")["frameTree"]
        frame = tree["childFrames"][self.number]["childFrames"][0]["frame"]["id"]
        world = tab.do("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
        result = tab.do(
            "Runtime.evaluate", expression=script, contextId=world, returnByValue=True, awaitPromise=True
        )
        return result["result"].get("value")

    def seen(self, script: str) -> Any:
        """The result of a script on the card as the host keeps it: `one`."""
        return self.host.tab.value(f"(one => {script})(host.shown[{self.number}])")

    def sees(self, selector: str, words: str = "") -> str:
        """Wait until an element is there whose text has these words; its text."""
        script = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".map(e => e.innerText).find(text => text !== undefined && text.includes({json.dumps(words)}))"
        )
        found = until(
            lambda: [text] if (text := self.value(script)) is not None else [], f"{selector} with “{words}”"
        )
        return str(found[0])

    def click(self, selector: str, words: str = "") -> None:
        """Click the element with these words."""
        self.sees(selector, words)
        self.value(
            f"[...document.querySelectorAll({json.dumps(selector)})].find(e => e.innerText.includes({json.dumps(words)})).click()"
        )

    @property
    def opened(self) -> list[str]:
        """The addresses that it asked the host to open."""
        return list(self.seen("one.opened"))

    @property
    def called(self) -> list[str]:
        """The tools that it called, in their order."""
        return [str(call["name"]) for call in self.seen("one.calls")]
