"""Steps that are shown while they run and kept with their outcome."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codewords_mcp.cli import _output
from codewords_mcp.cli._remedies import WORDS
from codewords_mcp.cli._terminal import terminal_text
from codewords_mcp.errors import CodewordsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


_SILENT_SECONDS = 1.0
"""Seconds after which a step that is still under way says so."""


class ShownStepFailed(Exception):
    """A step's result was not what it must be; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One step's outcome; `seconds` is wall time, `detail` what was found or why it failed."""

    id: str
    title: str
    ok: bool
    seconds: float
    detail: str
    hint: str = ""


def check(holds: bool, message: str, hint: str = "") -> None:
    """Raise ShownStepFailed with the message unless it holds."""
    if not holds:
        raise ShownStepFailed(message, hint)


class Steps:
    """Plays steps one after the other: a spinner while one runs (on a terminal), a line when it is done."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.done: list[ShownStep] = []
        self._extra: list[str] = []

    @property
    def all_ok(self) -> bool:
        """Whether something was played and all of it succeeded."""
        return bool(self.done) and all(step.ok for step in self.done)

    def show(self, lines: Sequence[str]) -> None:
        """Lines to print under the step that runs now."""
        self._extra = list(lines)

    async def play(
        self, step_id: str, title: str, action: Callable[[Callable[[str], None]], Awaitable[str]]
    ) -> bool:
        """Run one step and keep its outcome; whether it succeeded. Nothing the action raises gets out."""
        started = time.monotonic()
        self._extra = []
        with _output.spinner(title) as update:
            latest = title

            def say(text: str) -> None:
                nonlocal latest
                latest = f"{title}: {text}" if text else title
                update(latest)

            # Without a terminal nothing moves: one line says that a long step is under way.
            timer = asyncio.get_running_loop().call_later(_SILENT_SECONDS, lambda: self._still(latest))
            try:
                ok, detail, hint = await _outcome(action(say))
            finally:
                timer.cancel()
        self._finish(ShownStep(step_id, title, ok, round(time.monotonic() - started, 3), detail, hint))
        return ok

    def _still(self, text: str) -> None:
        if not self.quiet and not sys.stderr.isatty():
            _output.note(f"… {text}", always=True)

    def _finish(self, step: ShownStep) -> None:
        self.done.append(step)
        if self.quiet:
            return
        _print(step)
        for line in self._extra:
            _output.clipped(f"    │ {line}", "dim")


async def _outcome(work: Awaitable[str]) -> tuple[bool, str, str]:
    try:
        return True, await work, ""
    except (ShownStepFailed, CodewordsError) as error:
        if isinstance(error, CodewordsError):
            error.word_remedy(WORDS)
        return False, error.message, error.hint
    except Exception as error:  # noqa: BLE001  # whatever broke, it is this step's outcome
        return (
            False,
            f"{type(error).__name__}: {error}",
            "`codewords-mcp doctor` says what this machine lacks.",
        )


def _print(step: ShownStep) -> None:
    mark, style = ("✓", "green") if step.ok else ("✗", "bold red")
    if step.ok:
        detail = terminal_text(step.detail)
    else:
        detail = "failed"

    if not sys.stdout.isatty():
        _output.line(f"{mark} {step.title}: {detail} ({step.seconds:.2f} s)")
        return

    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(
        Text(mark, style),
        Text.assemble((step.title, "bold"), "  ", detail),
        Text(f"{step.seconds:.2f} s", "dim"),
    )
    _output.console().print(grid)
