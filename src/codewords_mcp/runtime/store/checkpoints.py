"""Checkpoints of SQLite's log beside the writes, so that none of them waits for the disk."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

COMMITS: Final = 32
"""Transactions of some 20 pages between two checkpoints. SQLite's own come after 1,000 pages, within a commit."""
FALLBACK_PAGES: Final = 4_000
"""Pages after which SQLite makes one by itself, in a commit: where no other does, as in a command, and where writes leave no gap
in which the log could begin anew. The log gets little longer than this, 16 MB, but for what a reader still needs.
"""


class Checkpoints:
    """Makes checkpoints of a file in a thread of its own. One that fails, as on a full disk, is made again with the next."""

    def __init__(self, path: Path) -> None:
        self._uri = f"file:{quote(str(path.absolute()))}?mode=rw"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._running = threading.Lock()
        self._commits = 0

    def count_commit(self) -> None:
        """Note a transaction, and start a checkpoint where it is time and none goes on."""
        self._commits += 1
        if self._commits < COMMITS or not self._running.acquire(blocking=False):
            return
        self._commits = 0
        try:
            self._thread.submit(self._checkpoint)
        except RuntimeError:  # closed
            self._running.release()

    def close(self) -> None:
        """Wait for one that goes on; no more are made."""
        self._thread.shutdown()

    def _checkpoint(self) -> None:
        try:
            # PASSIVE waits for nobody: what a reader still needs stays for the next.
            with suppress(sqlite3.Error), closing(sqlite3.connect(self._uri, uri=True)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            self._running.release()
