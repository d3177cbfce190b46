"""Published clients, driven as programs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.served_runtime import ServedRuntime

HERE = Path(__file__).parent


DRIVERS = HERE / "drivers"


Steps = dict[str, Any]


def driven(command: list[str | Path], served: ServedRuntime, **env: str) -> Steps:
    """Report of a program that prints its steps: its view of the runtime."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        command,
        env=kept | served.environment() | env,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert result, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    steps: Steps = json.loads(result[-1].removeprefix("RESULT "))
    steps["stdout"] = done.stdout
    return steps
