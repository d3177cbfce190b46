"""Collection of garbage while nobody waits, so that few requests do."""

from __future__ import annotations

import gc
from typing import Final

DUE: Final = 6_000
"""New objects after which it pays, below those after which Python collects by itself (`cli/_lifecycle.py`)."""
OLDER_DUE: Final = 10
"""Collections of new objects after which those that they left are looked at: as often as Python does."""


def collect_if_due() -> None:
    """Collect what is new, if it is much. Takes some milliseconds."""
    new, collections, _ = gc.get_count()
    if new > DUE and gc.isenabled():
        gc.collect(1 if collections > OLDER_DUE else 0)
