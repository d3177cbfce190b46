"""The list of runs: a run in few words, and how far a search has looked."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple, cast

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import Run, RunInput

PREVIEW = 120
"""Characters of a run's first arguments in a list."""


class ListedRun(NamedTuple):
    """A run without what only its page shows: its answer, attempts, steps and timings are left out.

    `workflow`: the name of its workflow, None where that is gone. `key`: the beginning of its caller's key.
    """

    run: Run
    workflow: str | None
    key: str | None


class Searched(Model):
    """The reach of a search: that many runs, back to this time. `whole`: there are no older ones."""

    runs: int
    until: datetime | None = None
    whole: bool = False


class RunPage(Model):
    """Some runs, newest first. A search may find fewer than a page and have more to look through: `next_cursor` says so."""

    items: list[ListedRun]
    next_cursor: str | None = None
    searched: Searched | None = None


def preview_of(run_input: RunInput | None) -> str:
    """The first arguments of a run as one line: its path where it has one, and the names and values of its JSON."""
    if run_input is None:
        return ""
    path = run_input.path if run_input.path not in {"", "/"} else ""
    text = " ".join(part for part in (path, _arguments(run_input.content or "")) if part)
    if len(text) <= PREVIEW:
        return text
    return text[: PREVIEW - 1] + "…"


def _arguments(content: str) -> str:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        # Text that is no JSON, or whose end was not kept, is shown as it is.
        return _line(content)
    if not isinstance(value, dict):
        return _line(content)

    pairs = cast("dict[str, Any]", value).items()
    return _line(", ".join(f"{name}: {_plain(argument)}" for name, argument in pairs))


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _line(text: str) -> str:
    # The beginning is enough, and splitting all of a long text is not.
    return " ".join(text[: 8 * PREVIEW].split())
