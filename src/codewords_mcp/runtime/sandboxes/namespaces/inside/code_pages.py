"""The code that every program runs, gathered in a few pages of memory.

Python keeps counters between the instructions of a code object, and writes to them whenever it runs one that it could not
specialise. So a fork copies a page for nearly every function that it calls, with all else that is in the page. A copy of these
code objects lies close together.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

_PAGE: Final = os.sysconf("SC_PAGESIZE")
# The first copies fill what is free between older objects, wherever that is.
_COPIES: Final = 4
# So often Python has to run new code before it has specialised most of it.
_REHEARSALS: Final = 3
# Never freed: what programs allocate would then be in the places of these.
_originals: Final[list[CodeType]] = []


def gather(work: Callable[[], object], modules: tuple[str, ...]) -> Generator[None]:
    """Move the code that `work` runs, and that of some modules of this package, close together; rehearse `work`.

    In pieces of some 10 ms; the last is some 50.
    """
    _originals[:] = _run_by(work, _of_modules(modules))
    yield

    moved = min([_copied(_originals) for _ in range(_COPIES)], key=_pages)
    yield

    # In one piece: a fork of code that Python has not specialised yet takes twice as long.
    _replace(moved)
    for _ in range(_REHEARSALS):
        work()


def _of_modules(modules: tuple[str, ...]) -> list[CodeType]:
    """The code of the functions of these modules."""
    names = {f"{__package__}.{name}" for name in modules}
    return [function.__code__ for function in _functions() if function.__module__ in names]


def _functions() -> list[FunctionType]:
    # Frozen objects are not listed.
    gc.unfreeze()
    found = [function for function in gc.get_objects() if type(function) is FunctionType]
    gc.freeze()
    return found


def _run_by(work: Callable[[], object], codes: list[CodeType]) -> list[CodeType]:
    """These code objects, and each other one that `work` runs."""
    known = {id(code) for code in codes}

    def note(frame: FrameType, _event: str, _argument: object) -> None:
        # By identity: equal code objects are two in memory.
        if id(frame.f_code) not in known:
            known.add(id(frame.f_code))
            codes.append(frame.f_code)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return codes


def _copied(codes: list[CodeType]) -> dict[int, CodeType]:
    """A copy of each by the original's id. Functions that are made within others are in their constants."""
    moving = {id(code) for code in codes}
    copies: dict[int, CodeType] = {}

    def copy(code: CodeType) -> CodeType:
        if id(code) not in copies:
            constants: list[Any] = [
                copy(constant) if id(constant) in moving else constant for constant in code.co_consts
            ]
            copies[id(code)] = code.replace(co_consts=tuple(constants))
        return copies[id(code)]

    for code in codes:
        copy(code)
    return copies


def _pages(copies: dict[int, CodeType]) -> int:
    """The number of pages that they are in."""
    return len({id(code) // _PAGE for code in copies.values()})


def _replace(copies: dict[int, CodeType]) -> None:
    """Have all functions use the copies."""
    for function in _functions():
        if id(function.__code__) in copies:
            function.__code__ = copies[id(function.__code__)]
