"""Measure the console: its size, the first paint of its run page, the way of a log line, and the cost of open pages.

No peer's page can be served here, so each number stands alone, beside the target of its question.

    python benchmarks/console.py [--quick] [--json]
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from _bench import Options, alone, options
from _load import cpu_seconds
from tests.support.chromium import Tab, tab
from tests.support.runtime import workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.unit.console.modules import CONSOLE, loaded_with, served_bytes

PAGES, IDLE_SECONDS = 20, 30
EDITOR = ("editor", "codemirror")
"""How the names of the code editor's files begin."""
PROGRAM = workflow(
    """
import asyncio, time

@app.post("/")
async def talk(request: Request):
    for _ in range((await request.json())["lines"]):
        print(f"at {time.time() * 1000:.0f}", flush=True)
        await asyncio.sleep(0.1)
    return {"said": True}
""",
    title="Talks",
)
SEEN = """
new Promise((done) => {
  const delays = [];
  const known = new Set();
  const look = () => {
    for (const [text, at] of document.querySelector("main").innerText.matchAll(/at (\\d{13})/g)) {
      if (!known.has(text)) delays.push(Date.now() - Number(at));
      known.add(text);
    }
    if (delays.length >= COUNT) { watcher.disconnect(); done(delays); }
  };
  const watcher = new MutationObserver(look);
  watcher.observe(document.querySelector("main"), { childList: true, subtree: true, characterData: true });
})
"""
"""Milliseconds from the printing of each line to its being on the page, by one clock."""


def size_of(paths: set[Path]) -> int:
    """Bytes that a browser loads, each file compressed by itself as the runtime sends it."""
    return sum(served_bytes(path) for path in paths)


def measure_sizes() -> bool:
    """The run page with the shell, and all of the console without and with its code editor."""
    shell = {CONSOLE / "index.html", CONSOLE / "app.css", CONSOLE / "parts.css"}
    run_page = loaded_with(CONSOLE / "app.js", CONSOLE / "pages/run.js") | shell
    # Cards are shown by chats: no page of the console loads them.
    everything = {
        path
        for path in CONSOLE.rglob("*")
        if path.suffix in {".js", ".css", ".html"} and path.parent.name != "cards"
    }
    without_editor = {path for path in everything if not path.name.startswith(EDITOR)}
    return all([
        alone("shell and run page, gzip", _kilobytes(run_page), "KB", runs=1, at_most=45),
        alone("all without the code editor, gzip", _kilobytes(without_editor), "KB", runs=1, at_most=120),
        alone("all with the code editor, gzip", _kilobytes(everything), "KB", runs=1, at_most=300),
    ])  # fmt: skip


def _kilobytes(paths: set[Path]) -> float:
    return round(size_of(paths) / 1024, 1)


def measure_paint(page: Tab, url: str, runs: int) -> bool:
    """The first paint of the run page with an empty cache."""
    first, contentful = [], []
    for _ in range(runs):
        page.do("Network.clearBrowserCache")
        page.open(url)
        page.value("new Promise((wait) => setTimeout(wait, 300))")
        times = page.value("performance.getEntriesByType('paint').map((one) => [one.name, one.startTime])")
        painted = dict(times)
        first.append(painted["first-paint"])
        contentful.append(painted["first-contentful-paint"])
    return alone(
        "run page, cold cache: first paint", round(statistics.median(first), 1), "ms", runs=runs, at_most=150,
        first_contentful_paint=round(statistics.median(contentful), 1),
    )  # fmt: skip


def measure_lines(served: ServedRuntime, page: Tab, service: str, lines: int) -> bool:
    """From a printed line to the page, while the run goes on."""
    run_id = served.call("POST", f"/run_async/{service}/", {"lines": lines + 20})["request_id"]
    page.open(f"{served.url}/console/runs/{run_id}")
    delays = page.value(SEEN.replace("COUNT", str(lines)))
    # The first batch has what was printed before the page was there.
    delays = delays[-lines + 10 :]
    return alone(
        "a printed line is on the page: p50", statistics.median(delays), "ms", runs=len(delays), at_most=100,
        p95=sorted(delays)[int(len(delays) * 0.95)],
    )  # fmt: skip


def measure_list(served: ServedRuntime, home: Path, count: int, runs: int) -> bool:
    """The data of the list of runs, where a home has many."""
    with closing(sqlite3.connect(home / "codewords.db")) as database, database:
        names = [
            row[1]
            for row in database.execute("PRAGMA table_info(runs)")
            if row[1] not in {"id", "created_at"}
        ]
        columns = ", ".join(f'"{name}"' for name in names)
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "  # names of our table
            f"INSERT INTO runs (id, created_at, {columns}) SELECT 'copy-' || i, created_at - i * 1000000, {columns} "
            "FROM n, (SELECT * FROM runs WHERE status = 'succeeded' LIMIT 1)",
            (count,),
        )
    holds = True
    with httpx.Client(base_url=served.url, headers={"Authorization": served.key}, trust_env=False) as http:
        for what, query in {"list of runs": {}, "text found in inputs of runs": {"q": "lines"}}.items():
            took = []
            for _ in range(runs):
                began = time.perf_counter()
                asked = {"view": "rows", "limit": 50, **query}
                http.get("/runs", params=asked, timeout=60).raise_for_status()
                took.append((time.perf_counter() - began) * 1000)
            holds &= alone(
                f"{what} among {count:,}", round(statistics.median(took), 1), "ms", runs=runs, at_most=50
            )
        began = time.perf_counter()
        missed = http.get("/runs", params={"view": "rows", "q": "in no input"}, timeout=60).json()
        alone(
            f"text in no input among {count:,}: one step of the search", round((time.perf_counter() - began) * 1000), "ms",
            runs=1, at_most=500, looked_through=missed["searched"]["runs"],
        )  # fmt: skip
    return holds


def measure_open_pages(served: ServedRuntime, seconds: int) -> bool:
    """The runtime's processors while pages are open and nothing happens."""
    with ExitStack() as pages:
        for _ in range(PAGES):
            http = pages.enter_context(httpx.Client(timeout=60, trust_env=False))
            headers = {"Authorization": served.key}
            stream = pages.enter_context(http.stream("GET", f"{served.url}/events", headers=headers))
            next(stream.iter_raw())
        time.sleep(3)
        before = cpu_seconds(served.pid)
        threading.Event().wait(seconds)
        used = 100 * (cpu_seconds(served.pid) - before) / seconds
    return alone(f"an idle home with {PAGES} open pages", round(used, 2), "% of a core", runs=1, at_most=1)


def measure(chosen: Options, folder: Path) -> bool:
    """All questions."""
    home = folder / "home"
    with start_runtime(home) as served:
        service = served.deploy(PROGRAM, "Talks")
        run_id = served.call("POST", f"/run_async/{service}/", {"lines": 3})["request_id"]
        served.call("GET", f"/result/{run_id}")
        with tab(folder / "profile", width=1280, height=900, mobile=False) as page:
            page.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
            holds = measure_paint(page, f"{served.url}/console/runs/{run_id}", 5 if chosen.quick else 20)
            holds &= measure_lines(served, page, service, 50 if chosen.quick else 150)
        holds &= measure_open_pages(served, 10 if chosen.quick else IDLE_SECONDS)
        holds &= measure_list(served, home, 20_000 if chosen.quick else 1_000_000, 20)
    return holds


def main() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=20, quick_runs=5)
    sizes = measure_sizes()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(chosen, Path(folder)) & sizes else 1


if __name__ == "__main__":
    sys.exit(main())
