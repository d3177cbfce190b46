"""`chrome_extension` and `web_automation_agent`: what they take and answer; no browser can be connected yet."""

from __future__ import annotations

from typing import Any, Literal, NoReturn

from pydantic import ConfigDict, Field

from codewords_mcp.errors import NotConnected
from codewords_mcp.runtime.services.base import Context, Input, Operation, Output, Service

NOT_YET = "not connected yet"


class Action(Input):
    """One step; what a step needs beside its type (`url`, `selector`, `text`, `time` …) stands beside it."""

    model_config = ConfigDict(extra="allow")

    type: Literal[
        "navigate",
        "wait",
        "extract",
        "extract_html",
        "click",
        "type",
        "scroll",
        "screenshot",
        "select",
        "press",
    ]


class Actions(Input):
    """Steps in their order."""

    actions: list[Action] = Field(min_length=1, max_length=100)


class Done(Output):
    """`data` has what was extracted, `html` for one; `results` what became of each step."""

    success: bool
    data: dict[str, Any]
    results: list[dict[str, Any]]


class Task(Input):
    """What to do on a site, in words."""

    url: str = Field(min_length=1, max_length=8192, pattern=r"^https?://")
    instructions: str = Field(min_length=1, max_length=20_000)
    max_steps: int = Field(default=10, ge=1, le=100)


class Finished(Output):
    """`result` is what it found, in words; `steps` what it did."""

    success: bool
    result: str
    steps: list[dict[str, Any]]
    url: str


def _refuse(name: str) -> Any:
    async def call(_context: Context, _asked: Input) -> NoReturn:
        """Raises NotConnected."""
        raise NotConnected(
            f"No browser is connected to {name} yet: this version of codewords-mcp has none to connect.",
            hint="Pages that need no browser come by webpage_to_markdown or firecrawl.",
        )

    return call


_STEPS = [{"type": "navigate", "url": "https://example.org/"}, {"type": "extract_html"}]

CHROME_EXTENSION = Service(
    name="chrome_extension",
    title="Chrome extension",
    summary="Steps in a person's own Chrome.",
    unavailable=NOT_YET,
    operations=(
        Operation(
            "Do steps in a browser",
            Actions,
            Done,
            _refuse("chrome_extension"),
            aliases=("actions",),
            example={"actions": _STEPS},
        ),
    ),
)
WEB_AUTOMATION_AGENT = Service(
    name="web_automation_agent",
    title="Web agent",
    summary="A task on a web site, in words.",
    unavailable=NOT_YET,
    operations=(
        Operation(
            "Do a task on a site",
            Task,
            Finished,
            _refuse("web_automation_agent"),
            example={
                "url": "https://example.org/",
                "instructions": "Find the opening hours.",
                "max_steps": 10,
            },
        ),
    ),
)
