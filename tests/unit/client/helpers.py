"""Programs that use the client."""

from __future__ import annotations

import os
from pathlib import Path

CLIENT = Path(__file__).parents[3] / "packages" / "codewords-client" / "src"


def clean(**env: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PYTHONPATH": str(CLIENT), "PYTHONUNBUFFERED": "1"} | env
