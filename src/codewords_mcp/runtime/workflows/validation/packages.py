"""Packages that are not what they seem: a name one letter from a famous one, or one that was published days ago.

Neither is proof, so neither fails a validation: a person is asked about them before a version goes live.
"""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from codewords_mcp.bounded_json import parse
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import Script

YOUNG = timedelta(days=30)
"""A package first published less than this ago is asked about."""
_FAMOUS = 1000
"""So many of the most downloaded packages are worth imitating; those of the whole list are no imitations."""
_SHORTEST = 5
_ASK_WITHIN = 2.0
_MOST = 20
_INDEX = "https://pypi.org/simple"
_first_seen: dict[tuple[str, str], datetime | None] = {}


@cache
def _popular() -> tuple[str, ...]:
    """By downloads of a month, the most first; github.com/hugovk/top-pypi-packages publishes such a list."""
    text = (Path(__file__).parent / "popular_packages.txt").read_text(encoding="utf-8")
    return tuple(text.split())


def famous_like(name: str) -> str | None:
    """The famous package that this name is one slip of the keyboard away from; None for a name that is known itself."""
    known = _popular()
    if len(name) < _SHORTEST or name in known:
        return None
    bare = name.replace("-", "")
    for famous in known[:_FAMOUS]:
        if len(famous) >= _SHORTEST and (famous.replace("-", "") == bare or _one_slip(name, famous)):
            return famous
    return None


async def check_packages(script: Script) -> tuple[list[Check], tuple[str, ...]]:
    """(warnings, what a person is asked about) of the script's own dependencies. An index that does not answer is no fault."""
    names = [Requirement(one).name for one in script.dependencies]
    doubtful: dict[str, str] = {}

    for name in names:
        if famous := famous_like(name):
            doubtful[name] = f"its name is nearly that of {famous}"

    unknown = [name for name in names if name not in _popular() and name not in doubtful][:_MOST]
    for name, since in await _published(unknown):
        if since is not None and datetime.now(UTC) - since < YOUNG:
            doubtful[name] = f"first published {since.date().isoformat()}"

    checks = [_warning(script, name, why) for name, why in doubtful.items()]
    return checks, tuple(sorted(f"{name} ({why})" for name, why in doubtful.items()))


def _warning(script: Script, name: str, why: str) -> Check:
    famous = famous_like(name)
    lines = script.code.splitlines()
    line = next(
        (number for number, text in enumerate(lines, 1) if text.startswith("#") and name in text), None
    )
    return Check(
        id="packages",
        status="warning",
        line=line,
        message=f"The package {name} is doubtful: {why}. A person is asked before it is deployed.",
        fix=f"Write {famous}, if that is what is meant."
        if famous
        else "Use a package that is well known, or none.",
    )


def _one_slip(one: str, other: str) -> bool:
    """Whether they differ by one letter added, left out, changed, or by two neighbours swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    a, b = one[at:], other[at:]
    return (
        a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:] and len(a) > 1)
    )


async def _published(names: list[str]) -> list[tuple[str, datetime | None]]:
    """(name, when its first file was published) as the index tells; None where it does not tell."""
    index = _index()
    missing = [name for name in names if (index, name) not in _first_seen]

    if missing and not os.environ.get("UV_OFFLINE"):
        import httpx

        async with httpx.AsyncClient(timeout=_ASK_WITHIN, follow_redirects=True) as http:
            found = await asyncio.gather(*(_ask(http, index, name) for name in missing))
        for name, told in zip(missing, found, strict=True):
            if told is not ...:
                _first_seen[index, name] = told

    return [(name, _first_seen.get((index, name))) for name in names]


def _index() -> str:
    given = (os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"))
    return re.sub(r"^[\w-]+=", "", next(filter(None, given), _INDEX)).rstrip("/")


async def _ask(http: Any, index: str, name: str) -> Any:
    """The time, None where the index does not keep it; `...` where it cannot be asked now."""
    import httpx

    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}

    try:
        reply = await http.get(f"{index}/{name}/", headers=accept)
        files: Any = parse(reply.content).get("files", []) if reply.status_code == 200 else []
        stamp = min((str(one["upload-time"]) for one in files if one.get("upload-time")), default="")
        if stamp:
            return datetime.fromisoformat(re.sub(r"Z$", "+00:00", stamp))

        return None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError, KeyError, TypeError):
        return ...
