"""Answers of others' programs, one JSON object a line in and out; each in a process of its own, for a bounded time."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any


def serve(answer: Callable[[Any, Connection], None], seconds: float, without: Any) -> None:
    """Answer each line of standard input. `answer` sends its result; `without` stands for one that did not come in time."""
    context = multiprocessing.get_context("fork")
    for line in sys.stdin:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(json.loads(line), there), daemon=True)
        process.start()
        there.close()
        found = without
        with suppress(EOFError):
            if here.poll(seconds):
                found = here.recv()
        process.kill()
        process.join()
        print(json.dumps(found), flush=True)
