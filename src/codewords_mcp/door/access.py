"""Which tools a request may see and call: by its key's or token's scopes and toolsets, its address, and who narrowed it.

Everything here takes away, nothing gives: a header, an address or a flag that narrows can't widen what a key may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from codewords_mcp.door.context import RequestContext, caller_of
from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.models import Caller, Scope
from codewords_mcp.settings import Settings

TOOLSETS = {
    "workflows": "Templates; check, deploy, look at and roll back workflows.",
    "runs": "Run workflows and look at their runs.",
    "schedules": "Let workflows run by themselves.",
    "secrets": "Names of secrets, and the page where they are typed.",
    "integrations": "Apps, and what can be done in them.",
    "other": "Whatever names no other.",
}
"""Toolsets of our own tools. Published workflows have names of their owner's."""
TOOLSET_KEY = "codewords.toolset"
"""Where the HTTP door leaves the toolset of `/mcp/{toolset}` in an ASGI scope."""
READ_ONLY_HEADER = "x-mcp-readonly"
TOOLSETS_HEADER = "x-mcp-toolsets"
_OFF = {"", "0", "false", "no", "off"}


class Narrowed(Protocol):
    """What a tool says of itself here."""

    name: str
    toolset: str
    scope: Scope

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """What a request is narrowed to. `toolsets` must all hold; each is a set of names."""

    caller: Caller
    read_only: bool
    toolsets: tuple[frozenset[str], ...]

    def refusal(self, tool: Narrowed) -> Forbidden | None:
        """Why this request may not call the tool; None where it may."""
        if self.read_only and not tool.reads:
            return Forbidden(
                f"This connection is read-only; {tool.name} changes something.",
                hint="The user can connect without --read-only.",
            )
        if any(tool.toolset not in names for names in self.toolsets):
            return Forbidden(
                f"{tool.name} is of the toolset {tool.toolset}, which this connection or its key leaves out.",
                hint=f"The user can add {tool.toolset} to --toolsets, or use another key.",
            )
        if not self.caller.can(tool.scope):
            return Forbidden(
                f"{tool.name} needs the scope {tool.scope}, which this key does not have.",
                hint=f"`codewords keys create --scope …,{tool.scope}` makes a key with it.",
            )
        return None

    def shows(self, tool: Narrowed) -> bool:
        """Whether a list has it. A token may get further scopes on the way, so it is shown what needs them."""
        refused = self.refusal(tool)
        if refused is None:
            return True
        plain = View(
            Caller(self.caller.owner, self.caller.kind), self.read_only, self.toolsets
        )  # without its scopes
        return self.caller.by_token and plain.refusal(tool) is None


def view_of(ctx: RequestContext) -> View:
    """What this request is narrowed to. Raises InvalidInput for a toolset that is none."""
    settings, caller = ctx.lifespan_context.settings, caller_of(ctx)
    sets: list[frozenset[str]] = []
    if settings.toolsets is not None:
        sets.append(frozenset(settings.toolsets))
    if caller.toolsets is not None:
        sets.append(caller.toolsets)
    read_only = settings.read_only
    request = ctx.request
    if request is not None:
        if named := request.scope.get(TOOLSET_KEY):
            sets.append(frozenset({named}))
        if (listed := request.headers.get(TOOLSETS_HEADER)) is not None:
            sets.append(parse_toolsets(listed))
        read_only = read_only or request.headers.get(READ_ONLY_HEADER, "").strip().lower() not in _OFF
    return View(caller, read_only, tuple(sets))


def parse_toolsets(text: str) -> frozenset[str]:
    """Names parted by commas. Raises InvalidInput for what can be no name."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names or not all(is_toolset_name(name) for name in names):
        raise InvalidInput(
            "Toolsets are names of lower-case letters, digits, - and _, parted by commas.",
            hint=f"Ours are {', '.join(TOOLSETS)}; published workflows have their own.",
        )
    return names


def is_toolset_name(name: str) -> bool:
    """Whether this can name a toolset."""
    return (
        0 < len(name) <= 32
        and name.replace("-", "").replace("_", "").isalnum()
        and name == name.lower()
        and name.isascii()
    )


def check_settings(settings: Settings) -> None:
    """Raise InvalidInput for a toolset that can be none: what narrows must not be misread."""
    if settings.toolsets is not None:
        parse_toolsets(",".join(settings.toolsets))
