"""Measure the console: its size, the paint and the frames of its run page, the way of a log line, and the cost of open pages.

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

import _frames
import httpx
from _bench import Numbers, Options, options
from _load import cpu_seconds
from tests.support.chromium import Tab, tab
from tests.support.runtime import workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until
from tests.unit.console.modules import CONSOLE, served, served_bytes, served_with

PAGES, IDLE_SECONDS = 20, 30
EDITOR = ("editor", "codemirror")
"""How the names of the code editor's files begin."""
CALLS, LINES = 1994, 100_000
"""Calls of a run with 2,000 spans, the most that are kept of one; the others are its own and its phases."""
FRAMES_A_SECOND = 50
PROGRAM = workflow(
    """
import asyncio, os, time
import httpx

@app.post("/calls")
async def call(request: Request):
    headers = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=headers) as client:
        for number in range((await request.json())["calls"]):
            await client.get(f"/services/send_email?number={number}")
    return {}

@app.post("/lines")
async def print_lines(request: Request):
    for number in range((await request.json())["lines"]):
        print("line", number)
    return {}

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


def measure_sizes(numbers: Numbers) -> None:
    """The run page with the shell, and all of the console without and with its code editor."""
    shell = {"index.html", "app.css"}
    run_page = served_with(CONSOLE / "app.js", CONSOLE / "pages/run.js") | shell
    everything = served()
    without_editor = {name for name in everything if not Path(name).name.startswith(EDITOR)}
    numbers.add("shell and run page, gzip", _kilobytes(run_page), "KB", at_most=45)
    numbers.add("all without the code editor, gzip", _kilobytes(without_editor), "KB", at_most=120)
    numbers.add("all with the code editor, gzip", _kilobytes(everything), "KB", at_most=300)


def _kilobytes(addresses: set[str]) -> float:
    """The bytes that a browser loads, each file compressed by itself as the runtime sends it."""
    return round(sum(map(served_bytes, addresses)) / 1024, 1)


def measure_paint(numbers: Numbers, page: Tab, url: str, runs: int) -> None:
    """The first paint of the run page with an empty cache."""
    first: list[float] = []
    contentful: list[float] = []
    for _ in range(runs):
        page.do("Network.clearBrowserCache")
        page.open(url)
        page.value("new Promise((wait) => setTimeout(wait, 300))")
        times = page.value("performance.getEntriesByType('paint').map((one) => [one.name, one.startTime])")
        painted: dict[str, float] = dict(times)
        first.append(painted["first-paint"])
        contentful.append(painted["first-contentful-paint"])
    numbers.add(
        "run page, cold cache: first paint", round(statistics.median(first), 1), "ms", runs=runs, at_most=150,
        first_contentful_paint=round(statistics.median(contentful), 1),
    )  # fmt: skip


def measure_lines(numbers: Numbers, served: ServedRuntime, page: Tab, service: str, lines: int) -> None:
    """From a printed line to the page, while the run goes on."""
    run_id = served.call("POST", f"/run_async/{service}/", {"lines": lines + 20})["request_id"]
    page.open(f"{served.url}/console/runs/{run_id}")
    delays = page.value(SEEN.replace("COUNT", str(lines)))
    # The first batch has what was printed before the page was there.
    delays = delays[-lines + 10 :]
    numbers.add(
        "a printed line is on the page: p50", statistics.median(delays), "ms", runs=len(delays), at_most=100,
        p95=sorted(delays)[int(len(delays) * 0.95)],
    )  # fmt: skip


def measure_list(numbers: Numbers, served: ServedRuntime, home: Path, count: int, runs: int) -> None:
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
    with httpx.Client(base_url=served.url, headers={"Authorization": served.key}, trust_env=False) as http:
        for what, query in {"list of runs": {}, "text found in inputs of runs": {"q": "lines"}}.items():
            took: list[float] = []
            for _ in range(runs):
                began = time.perf_counter()
                asked = {"view": "rows", "limit": 50, **query}
                http.get("/runs", params=asked, timeout=60).raise_for_status()
                took.append((time.perf_counter() - began) * 1000)
            numbers.add(
                f"{what} among {count:,}", round(statistics.median(took), 1), "ms", runs=runs, at_most=50
            )
        began = time.perf_counter()
        missed = http.get("/runs", params={"view": "rows", "q": "in no input"}, timeout=60).json()
        numbers.add(
            f"text in no input among {count:,}: one step of the search", round((time.perf_counter() - began) * 1000), "ms",
            at_most=500, looked_through=missed["searched"]["runs"],
        )  # fmt: skip


def measure_open_pages(numbers: Numbers, served: ServedRuntime, seconds: int) -> None:
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
    numbers.add(f"an idle home with {PAGES} open pages", round(used, 2), "% of a core", at_most=1)


def measure_frames(numbers: Numbers, served: ServedRuntime, page: Tab, service: str, runs: int) -> None:
    """A run with 2,000 calls and one with 100,000 lines: paint of the timeline, and frames while it is scrolled and zoomed."""
    calls = ended_run(served, f"{service}/calls", {"calls": CALLS})
    lines = ended_run(served, f"{service}/lines", {"lines": LINES})
    spans = served.call("GET", f"/runs/{calls}/trace")["spans"]
    assert len(spans) == CALLS + 6, len(spans)

    url = f"{served.url}/console/runs/{calls}"
    drawn = [_frames.time_to(page, url, ".timeline [role=option]") for _ in range(runs)]
    numbers.add(
        f"{len(spans):,} spans: the timeline is drawn, cold cache", round(statistics.median(drawn)), "ms", runs=runs,
        slowest=round(max(drawn)),
    )  # fmt: skip

    # The address of one call opens the group that it is in: all rows are there.
    page.open(f"{url}?span={spans[-2]['id']}")
    waits(page, f"document.querySelector('.timeline [aria-setsize]')?.ariaSetSize >= {CALLS}")
    _frames.prepare(page)
    add_frames(numbers, "any page at rest", _frames.rest(page), None)
    shown = f"{len(spans):,} spans"
    add_frames(numbers, f"{shown}: scroll", _frames.scroll(page, ".timeline .virtual"))
    add_frames(numbers, f"{shown}: drag to zoom", _frames.drag(page, ".scale .bars"))
    add_frames(numbers, f"{shown}: zoom by keys", _frames.press(page, ".timeline", "+ -"))
    add_frames(numbers, f"{shown}: move by keys", _frames.press(page, ".timeline .virtual", "ArrowUp"))
    numbers.add(f"{shown}: memory of the page", _frames.memory_mb(page), "MB", at_most=150)

    # A search loads the whole log.
    page.open(f"{served.url}/console/runs/{lines}?q=line")
    waits(page, f"document.querySelector('.log [aria-setsize]')?.ariaSetSize >= {LINES}")
    _frames.prepare(page)
    add_frames(numbers, f"{LINES:,} log lines: scroll", _frames.scroll(page, ".log .virtual"))
    numbers.add(f"{LINES:,} log lines: memory of the page", _frames.memory_mb(page), "MB", at_most=150)


def waits(page: Tab, script: str) -> None:
    """Wait until a script gives something true."""
    until(lambda: page.value(script), script)


def ended_run(served: ServedRuntime, path: str, order: dict[str, int]) -> str:
    """Run a program to its end; the run's id."""
    run_id = str(served.call("POST", f"/run_async/{path}", order)["request_id"])
    served.call("GET", f"/result/{run_id}")
    return run_id


def add_frames(
    numbers: Numbers, question: str, frames: _frames.Frames, least: int | None = FRAMES_A_SECOND
) -> None:
    """Frames a second, with the work of the page for each: a busy machine has fewer frames for the same work."""
    numbers.add(
        question,
        frames.rate,
        "frames/s",
        at_least=least,
        p95_ms=frames.p95_ms,
        work_ms_a_frame=frames.work_ms,
    )


def measure(numbers: Numbers, chosen: Options, folder: Path) -> None:
    """All questions that need a runtime."""
    home = folder / "home"
    with start_runtime(home) as served:
        service = served.deploy(PROGRAM, "Talks")
        run_id = ended_run(served, f"{service}/", {"lines": 3})
        with tab(folder / "profile", width=1280, height=900, mobile=False) as page:
            page.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
            measure_paint(numbers, page, f"{served.url}/console/runs/{run_id}", 5 if chosen.quick else 20)
            measure_lines(numbers, served, page, service, 50 if chosen.quick else 150)
            measure_frames(numbers, served, page, service, 3 if chosen.quick else 10)
        measure_open_pages(numbers, served, 10 if chosen.quick else IDLE_SECONDS)
        measure_list(numbers, served, home, 20_000 if chosen.quick else 1_000_000, 20)


def main() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=20, quick_runs=5)
    numbers = Numbers(chosen.as_json)
    measure_sizes(numbers)
    with tempfile.TemporaryDirectory() as folder:
        measure(numbers, chosen, Path(folder))
    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
