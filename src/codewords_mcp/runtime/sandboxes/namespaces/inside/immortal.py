"""Objects that forks share become immortal: no reference to them is counted any more, so that no fork copies their pages for it.

CPython has such objects from 3.12 on (PEP 683): `None` is one. A count whose lower half has the same value as that of `None`
is left as it is by everything that takes or drops a reference.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Generator, Iterable
from types import CodeType
from typing import Any, Final

_MARK: Final = 0xFFFF_FFFF
# Where it was tried: other versions and builds (debugging, without the global lock) keep their counts in another way.
_VERSIONS: Final = ((3, 12), (3, 13))
_PIECE: Final = 5_000
# A fork that is made meanwhile keeps the list, as it keeps this module: to free it would touch what is in it.
_waiting: Final[list[Any]] = []


def make_immortal() -> Generator[None]:
    """Make all objects of this process immortal, in pieces of some 10 ms. None where this Python cannot.

    Nothing that is there is freed any more, so all of it should be wanted by every fork.
    """
    if not _is_possible():
        return

    # Frozen objects are not listed.
    gc.unfreeze()
    _waiting[:] = gc.get_objects()
    gc.freeze()

    while _waiting:
        fresh = _mark(_waiting[-_PIECE:])
        del _waiting[-_PIECE:]
        _waiting.extend(gc.get_referents(*fresh))
        _waiting.extend(_parts_of_code(fresh))
        del fresh
        yield


def _is_possible() -> bool:
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] in _VERSIONS
        and sys.abiflags == ""
        and sys.byteorder == "little"
        and sys.getrefcount(None) == _MARK
    )


def _mark(objects: Iterable[Any]) -> list[Any]:
    """Make them immortal; those that were not."""
    fresh: list[Any] = []
    # Looked up once: this loop sees each reference between two objects.
    count, write, append = sys.getrefcount, ctypes.memset, fresh.append
    for shared in objects:
        if count(shared) < _MARK:
            write(id(shared), 0xFF, 4)
            append(shared)

    return fresh


def _parts_of_code(objects: Iterable[Any]) -> list[Any]:
    """Constants and names of code objects, which the garbage collector does not know."""
    return [
        part
        for code in objects
        if type(code) is CodeType
        for part in (
            code.co_consts,
            code.co_names,
            code.co_filename,
            code.co_linetable,
            code.co_exceptiontable,
        )
    ]
