"""Time `uvx --from WHEEL codewords-mcp demo` where nothing of it is installed, beside a bare FastAPI program by uvx.

Both begin with downloads in uv's cache and with neither environment nor bytecode nor home, and end with the first result:
ours with the last step of the demo, which has deployed a workflow and called it, the peer's with the first response.

    python benchmarks/install_first_result.py [--quick] [--json]
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from _bench import Question, clean_environment, interleave, options, report

PROJECT = Path(__file__).parents[1]
MAX_SECONDS = 15.0
PEER = "fastapi by uvx"
PROGRAM = """import json, threading, time, urllib.request
import fastapi, uvicorn

app = fastapi.FastAPI()


@app.get("/")
def greet(name: str) -> dict[str, str]:
    return {"message": f"Hello {name}!"}


def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/?name=Ada")))
    server.should_exit = True
    thread.join()
"""
METADATA = """Metadata-Version: 2.1
Name: bare-fastapi
Version: 1.0
Requires-Dist: fastapi
Requires-Dist: uvicorn
"""


def build(folder: Path) -> Path:
    """Build our wheel."""
    _uv(clean_environment(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(PROJECT))
    return next(folder.glob("codewords_mcp-*.whl"))


def build_peer(folder: Path) -> Path:
    """Write a wheel of the peer's program."""
    info = "bare_fastapi-1.0.dist-info"
    files = {
        "bare_fastapi.py": PROGRAM,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nbare-fastapi = bare_fastapi:main\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    wheel = folder / "bare_fastapi-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@contextmanager
def newcomer(cache: Path, wheel: Path) -> Generator[tuple[Path, dict[str, str]]]:
    """Make a home of a person who has nothing but uv's downloads, and a copy of the wheel at a path of its own."""
    with tempfile.TemporaryDirectory() as home:
        # An environment of uvx is kept for a wheel at its path.
        copy = Path(shutil.copy(wheel, home))
        env = clean_environment(
            HOME=home, UV_CACHE_DIR=str(cache), UV_PYTHON=sys.executable, CODEWORDS_PORT="0",
            CODEWORDS_OPEN_BROWSER="never", XDG_DATA_HOME="", XDG_CONFIG_HOME="",
        )  # fmt: skip
        yield copy, env


def first_result(cache: Path, wheel: Path, *words: str) -> float:
    """Seconds of `uvx --from WHEEL WORDS`, in a new home."""
    with newcomer(cache, wheel) as (copy, env):
        began = time.perf_counter()
        _uv(env, "tool", "run", "--from", str(copy), *words)
        seconds = time.perf_counter() - began
        if words[0] == "codewords-mcp":
            _uv(env, "tool", "run", "--from", str(copy), "codewords-mcp", "stop")
    return seconds


def _uv(env: dict[str, str], *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "uv", *words], env=env, check=True, stdout=subprocess.DEVNULL, timeout=600
    )


def main() -> int:
    """Measure in turns; 1 where the target does not hold."""
    chosen = options(__doc__ or "", runs=5, quick_runs=1)
    question = Question("from a wheel to the first result", PEER, "s", None, at_most=MAX_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ours, peer, cache = build(root), build_peer(root), root / "cache"
        interleave(
            question,
            lambda: first_result(cache, ours, "codewords-mcp", "demo"),
            lambda: first_result(cache, peer, "bare-fastapi"),
            chosen.runs,
        )
    sys.stderr.write(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    return report([question], chosen)


if __name__ == "__main__":
    sys.exit(main())
