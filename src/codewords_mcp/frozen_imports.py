"""Loading what stays for the life of the process, without the garbage collector looking at it."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def loading() -> Generator[None]:
    """Import in here. The 150,000 objects that the runtime's modules are made of are never garbage: no collection runs
    meanwhile, and none looks at them afterwards, not even as the interpreter ends. That was a third of what a start and
    its end cost.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
