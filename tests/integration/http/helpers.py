"""Limits of the runtime that these tests share, small enough to be reached."""

from __future__ import annotations

CONCURRENCY, QUEUE = 4, 6
MAX_BODY = 3 << 20
