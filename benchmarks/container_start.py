"""How long a person waits for the tools where the runtime is in a container: from the command to the first `tools/list`.

Takes the engine, its arguments and the image from CODEWORDS_CONTAINER_ENGINE, _ARGUMENTS and _IMAGE. The image has to be on the
machine. Each home is new and is removed with its container and volume.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _bench import clean_environment
from front_start import script, time_to_tools

from codewords_mcp.stdio import containers, engines

ROUNDS = 3


def main() -> None:
    print(f"{'':24}{'ms':>8}")
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "home")


def measure(home: Path) -> None:
    settings = {name: value for name, value in os.environ.items() if name.startswith("CODEWORDS_CONTAINER_")}
    env = clean_environment() | settings | {"CODEWORDS_HOME": str(home), "CODEWORDS_RUNTIME": "container"}
    codewords = Path(sys.executable).with_name("codewords")
    engine = engines.engine_here()
    try:
        print(f"{'a new home':24}{time_to_tools([script()], env, 'modern'):8.0f}")
        print(f"{'a container that runs':24}{time_to_tools([script()], env, 'modern'):8.0f}")
        subprocess.run([codewords, "stop"], env=env, check=True, capture_output=True)
        print(f"{'a home that was stopped':24}{time_to_tools([script()], env, 'modern'):8.0f}")
    finally:
        subprocess.run([codewords, "stop"], env=env, check=False, capture_output=True)
        engine.call("volume", "rm", "--force", containers.container_name(str(home)))


if __name__ == "__main__":
    main()
