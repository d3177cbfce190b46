"""A person at the console: a signed-in tab, and a workflow that does what the pages show."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.chromium import Tab, tab
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_testing.pipedream import LoopbackConnect

PHONE, DESKTOP, WIDE = (390, 844), (1280, 900), (1920, 1080)
PROGRAM = workflow(
    """
import asyncio, json, sys
from fastapi.responses import HTMLResponse, Response

HOSTILE = "<img src=x onerror=alert(1)> \\u202egnp.exe"

def summary_of(answer: dict) -> str:
    return answer["summary"]

@app.post("/")
async def main(request: Request):
    order = await request.json()
    print("STEPLOG START prepare", flush=True)
    for number in range(order.get("lines", 3)):
        level = "warning" if number % 10 == 1 else "info"
        print(json.dumps({"event": "Compared", "level": level, "number": number}))
    sys.stdout.flush()
    print("STEPLOG START answer", flush=True)
    await asyncio.sleep(order.get("seconds", 0))
    match order.get("kind"):
        case "fail":
            return {"summary": summary_of({})}
        case "table":
            return {"rows": [{"name": f"Item {n}", "price": n * 1.5} for n in range(120)]}
        case "html":
            return HTMLResponse("<html><body><h1>A page</h1><script>parent.hacked = 1; document.title = 'ran'</script></body></html>")
        case "hostile":
            print(HOSTILE, flush=True)
            return {"<script>window.hacked = 1</script>": "\\u202eevil <b>bold</b>", "link": "javascript:window.hacked=1"}
    return {"done": True, "asked": order}
""",
    title="Page monitor",
)


@dataclass(frozen=True, slots=True)
class Console:
    """The pages of a runtime in a tab in which its person is signed in."""

    tab: Tab
    served: ServedRuntime
    workflow: str

    def run(self, **order: Any) -> str:
        """Run the workflow in the background and wait until it has ended; the run's id."""
        run_id = self.start(**order)
        until(lambda: self.record(run_id)["completedAt"], f"the end of run {run_id}")
        return run_id

    def start(self, **order: Any) -> str:
        """Start the workflow in the background; the run's id."""
        return str(self.served.call("POST", f"/run_async/{self.workflow}/", order)["request_id"])

    def record(self, run_id: str) -> dict[str, Any]:
        return dict(self.served.call("GET", f"/request/{run_id}"))

    def open(self, path: str, heading: str = "") -> None:
        """Open a page and wait for its headline, with these words in it."""
        self.tab.open(self.served.url + path)
        self.sees("main h1", heading)

    def sees(self, selector: str, words: str = "") -> str:
        """Wait until an element is there whose text has these words; its text."""
        script = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".map(e => e.innerText).find(text => text !== undefined && text.includes({json.dumps(words)}))"
        )
        found = until(
            lambda: [text] if (text := self.tab.value(script)) is not None else [],
            f"{selector} with “{words}”",
        )
        return str(found[0])

    def waits(self, script: str) -> None:
        """Wait until a script gives something true."""
        until(lambda: self.tab.value(f"Boolean({script})"), script)

    def click(self, selector: str, words: str = "") -> None:
        """Click the element with these words."""
        self.sees(selector, words)
        self.tab.value(
            f"[...document.querySelectorAll({json.dumps(selector)})].find(e => e.innerText.includes({json.dumps(words)})).click()"
        )


@contextmanager
def signed_in_console(folder: Path, broker: LoopbackConnect, **variables: str) -> Generator[Console]:
    """The pages of a new runtime with one workflow, to a person who opened its one-time address."""
    variables["CODEWORDS_PIPEDREAM_BASE_URL"] = broker.url
    with (
        start_runtime(make_home(folder / "home"), **variables) as served,
        tab(folder / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page,
    ):
        console = Console(page, served, served.deploy(PROGRAM, "Page monitor"))
        page.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
        yield console
