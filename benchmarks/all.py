"""Run the benchmarks one after another, and keep what they say in `benchmarks/results/`.

Each has a JSON file there: its questions with ours, the peer and whether the target holds, and the date, commit, machine and
load of the measurement. `docs/reference/generate.py` makes the page of numbers from these files; nobody types a result.

    python benchmarks/all.py [NAME ...] [--quick] [--again] [--at-most SECONDS] [--list]

Benchmarks with results of this commit are left out, so a broken off call is repeated to go on; `--again` measures them anew. One
that fails or takes too long is told, its older results stay, and the next one begins.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _page import first_sentence

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
MEASURED = ("src", "packages", "benchmarks/*.py", "constraints.txt")
"""Paths that a result depends on."""


def names() -> list[str]:
    """The names of all benchmarks."""
    return sorted(path.stem for path in HERE.glob("[a-z]*.py") if path != Path(__file__).resolve())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="*", choices=[[], *names()], help="benchmarks to run; all without one")
    parser.add_argument("--quick", action="store_true", help="fewer runs of each")
    parser.add_argument("--again", action="store_true", help="also those that have results of this commit")
    parser.add_argument(
        "--at-most", type=float, default=900, metavar="SECONDS", help="stop one that takes longer"
    )
    parser.add_argument("--list", action="store_true", help="only list them, with the date of their results")
    chosen = parser.parse_args()
    wanted = chosen.name or names()
    if chosen.list:
        for name in wanted:
            print(f"{name:20} {(stored(name) or {}).get('date', 'not measured'):18} {first_sentence(name)}")
        return 0

    failed = False
    for name in wanted:
        outcome = measure(name, chosen)
        print(f"{name:20} {outcome}", flush=True)
        failed = failed or outcome.startswith("failed")
    return int(failed)


def stored(name: str) -> dict[str, Any] | None:
    """The results of a benchmark, or None where it has none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def measure(name: str, chosen: argparse.Namespace) -> str:
    """Run one benchmark and keep its results. Returns a word on the outcome: kept, measured or failed."""
    commit = git("rev-parse", "--short=10", "HEAD")
    older = stored(name)
    if older and older["commit"] == commit and not chosen.again:
        return f"kept, measured at {commit}"

    print(f"{name} …", file=sys.stderr, flush=True)
    command = ["python", f"benchmarks/{name}.py", *(["--quick"] if chosen.quick else []), "--json"]
    before, began = os.getloadavg()[0], time.monotonic()
    try:
        code, output, errors = run([sys.executable, *command[1:]], chosen.at_most)
    except subprocess.TimeoutExpired:
        return f"failed: not done within {chosen.at_most:g} s"

    results = read_results(output)
    if not results:
        return f"failed: exit code {code}, no results: {(errors.strip().splitlines() or [''])[-1][:200]}"

    kept = {
        "benchmark": name,
        "command": " ".join(command),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "commit": commit,
        "changed": bool(git("status", "--porcelain", "--", *MEASURED)),
        "machine": machine(),
        "load": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        "seconds": round(time.monotonic() - began, 1),
        "exit_code": code,
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    missed = sum(one.get("holds") is False for one in results)
    return f"measured in {kept['seconds']:g} s: {len(results)} numbers, {missed} targets missed"


def run(command: list[str], at_most: float) -> tuple[int, str, str]:
    """Run a command in a session of its own. Raises TimeoutExpired after `at_most` seconds, its processes being ended."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command, cwd=HERE.parent, env=env, encoding="utf-8", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=at_most)
    except BaseException:
        end(process)
        raise
    return process.returncode, output, errors


def end(process: subprocess.Popen[str]) -> None:
    """Ask a benchmark to clean up, and end its session where it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def read_results(output: str) -> list[dict[str, Any]]:
    """The result lines of an output. Raises ValueError for one that lacks its question, number or unit."""
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for one in found:
        if not {"question", "ours", "unit"} <= one.keys():
            raise ValueError(f"no result of a benchmark: {one}")
    return found


def machine() -> dict[str, Any]:
    """The facts that numbers depend on: cores, memory in GiB, kernel, processor, Python, file system of temporary homes."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("model name\t: ")[2].partition("\n")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "kernel": platform.release().partition("-")[0],
        "processor": cpu or platform.machine(),
        "python": platform.python_version(),
        "disk": file_system(tempfile.gettempdir()),
    }


def file_system(folder: str) -> str:
    """The kind of the file system that a folder is in, as Linux names it; "ext4 without a journal" for one of these."""
    # Without a journal ext4 searches for each new file among those that were deleted in the last minutes.
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    kind = next((line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == number), "")
    block = Path(f"/sys/dev/block/{number}")
    if kind == "ext4" and not list(Path("/proc/fs/jbd2").glob(f"{block.resolve().name}-*")):
        return "ext4 without a journal"
    return kind


def git(*arguments: str) -> str:
    """The output of a git command in this repository."""
    done = subprocess.run(
        ["git", *arguments], cwd=HERE.parent, encoding="utf-8", capture_output=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
