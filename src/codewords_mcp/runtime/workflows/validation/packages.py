"""Doubtful packages: a name one typo away from a famous one, or a first release some days ago.

Neither is proof, so neither fails a validation: a person is asked about them before a version goes
live.
"""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.runtime.model.code_difference import program_lines
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import Script

if TYPE_CHECKING:
    import httpx2

YOUNG = timedelta(days=30)
"""Packages with a first release less than this ago are doubtful."""
_FAMOUS = 1000
"""Number of most downloaded packages that are worth imitating. Names on the whole list are never
imitations.
"""
_MIN_LENGTH = 5
_INDEX_TIMEOUT = 2.0
_MAX_LOOKUPS = 20
_INDEX = "https://pypi.org/simple"
_first_releases: dict[tuple[str, str], datetime | None] = {}


@cache
def _popular() -> tuple[str, ...]:
    """Names by downloads of a month, the most first. Such a list is published at
    github.com/hugovk/top-pypi-packages.
    """
    text = (Path(__file__).parent / "popular_packages.txt").read_text(encoding="utf-8")
    return tuple(text.split())


def famous_like(name: str) -> str | None:
    """The famous package whose name differs by one typo. None for a well-known name."""
    known = _popular()
    # Short names are one typo apart by chance: `six`, `sh`, `q`.
    if len(name) < _MIN_LENGTH or name in known:
        return None
    bare = name.replace("-", "")
    for famous in known[:_FAMOUS]:
        if len(famous) >= _MIN_LENGTH and (
            # `python-dateutil` and `pythondateutil` are different names of the index.
            famous.replace("-", "") == bare or _differ_by_one_slip(name, famous)
        ):
            return famous
    return None


async def check_packages(script: Script) -> tuple[list[Check], tuple[str, ...]]:
    """(warnings, texts for the consent question) for the script's own dependencies. An unreachable
    index is no fault.
    """
    from packaging.requirements import Requirement

    names = [Requirement(requirement).name for requirement in script.dependencies]
    doubtful: dict[str, str] = {}

    for name in names:
        if famous := famous_like(name):
            doubtful[name] = f"its name is nearly that of {famous}"

    unknown = [name for name in names if name not in _popular() and name not in doubtful][:_MAX_LOOKUPS]
    for name, since in await _published(unknown):
        if since is not None and datetime.now(UTC) - since < YOUNG:
            doubtful[name] = f"first published {since.date().isoformat()}"

    checks = [_warning(script, name, why) for name, why in doubtful.items()]
    return checks, tuple(sorted(f"{name} ({why})" for name, why in doubtful.items()))


def _warning(script: Script, name: str, why: str) -> Check:
    famous = famous_like(name)
    lines = program_lines(script.code)
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


def _differ_by_one_slip(one: str, other: str) -> bool:
    """Whether they differ by one added, omitted or changed letter, or by two swapped neighbours."""
    if abs(len(one) - len(other)) > 1:
        return False
    # Everything before the first difference is equal, so one comparison of the rests decides.
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    a, b = one[at:], other[at:]
    return (
        a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:] and len(a) > 1)
    )


async def _published(names: list[str]) -> list[tuple[str, datetime | None]]:
    """(name, time of its first file) from the index. None if the index does not say."""
    index = _index()
    missing = [name for name in names if (index, name) not in _first_releases]

    if missing and not os.environ.get("UV_OFFLINE"):
        import httpx2

        async with httpx2.AsyncClient(timeout=_INDEX_TIMEOUT, follow_redirects=True) as http:
            first_releases = await asyncio.gather(
                *(_fetch_first_release(http, index, name) for name in missing)
            )
        for name, first_release in zip(missing, first_releases, strict=True):
            # An unreachable index is asked again next time; an answer stays true for ever.
            if first_release is not ...:
                _first_releases[index, name] = first_release

    return [(name, _first_releases.get((index, name))) for name in names]


def _index() -> str:
    configured = (os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"))
    return re.sub(r"^[\w-]+=", "", next(filter(None, configured), _INDEX)).rstrip("/")


async def _fetch_first_release(
    http: httpx2.AsyncClient, index: str, name: str
) -> datetime | EllipsisType | None:
    """The time, None if the index lacks it; `...` if the index is unreachable now."""
    import httpx2

    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}

    try:
        # The file list of the simple API (PEP 700) has upload times, and private indexes speak
        # it.
        response = await http.get(f"{index}/{name}/", headers=accept)
        files: Any = parse(response.content).get("files", []) if response.status_code == 200 else []
        stamp = min((str(file["upload-time"]) for file in files if file.get("upload-time")), default="")
        if stamp:
            return datetime.fromisoformat(re.sub(r"Z$", "+00:00", stamp))

        return None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError, KeyError, TypeError):
        return ...
