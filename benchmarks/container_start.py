"""How long a person waits for the tools where the runtime is in a container: from the command to the first `tools/list`.

Takes the engine, its arguments and the image from CODEWORDS_CONTAINER_ENGINE, _ARGUMENTS and _IMAGE. The image has to be on the
machine. Each home is new and is removed with its container and volume.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _bench import alone, clean_environment, options
from front_start import script, time_to_tools

from codewords_mcp.stdio import containers, engines

ROUNDS = 3
NEW, RUNS, STOPPED = "a new home", "a container that runs", "a home that was stopped"


def main() -> None:
    chosen = options(__doc__ or "", runs=ROUNDS, quick_runs=1)
    took: dict[str, list[float]] = {NEW: [], RUNS: [], STOPPED: []}
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "home", took)

    for name, times in took.items():
        if chosen.as_json:
            alone(f"start to tools/list, {name}", round(statistics.median(times)), "ms", runs=len(times))
        else:
            print(f"{name:24}{statistics.median(times):8.0f} ms")


def measure(home: Path, took: dict[str, list[float]]) -> None:
    settings = {name: value for name, value in os.environ.items() if name.startswith("CODEWORDS_CONTAINER_")}
    env = clean_environment() | settings | {"CODEWORDS_HOME": str(home), "CODEWORDS_RUNTIME": "container"}
    codewords = Path(sys.executable).with_name("codewords")
    engine = engines.engine_here()
    try:
        for name in (NEW, RUNS):
            took[name].append(time_to_tools([script()], env, "modern"))
        subprocess.run([codewords, "stop"], env=env, check=True, capture_output=True)
        took[STOPPED].append(time_to_tools([script()], env, "modern"))
    finally:
        subprocess.run([codewords, "stop"], env=env, check=False, capture_output=True)
        engine.call("volume", "rm", "--force", containers.container_name(str(home)))


if __name__ == "__main__":
    main()
