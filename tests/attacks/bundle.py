"""The source of a hostile program as a sandbox gets it: one file, with what it imports from its own folder put before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "hostile"
_SHARED: Final = "tests.attacks.hostile.attempts"
_PREAMBLE: Final = """\
import sys, types
_shared = types.ModuleType({name!r})
sys.modules[{name!r}] = _shared
exec(compile({source!r}, "attempts.py", "exec"), _shared.__dict__)
exec(compile({program!r}, "hostile.py", "exec"), globals())
"""


def bundle(name: str) -> str:
    """The program `hostile/<name>.py`."""
    shared = (_FOLDER / "attempts.py").read_text(encoding="utf-8")
    program = (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
    return _PREAMBLE.format(name=_SHARED, source=shared, program=program)
