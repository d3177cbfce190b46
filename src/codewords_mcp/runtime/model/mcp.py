"""Tools of MCP servers: what a server says of each, what was agreed to, and how the two differ.

All texts are the server's own: data for people and models, never part of a message of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic import Field

from codewords_mcp.common.json_parts import list_of, object_of
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.integration import Action, Hit, Prop
from codewords_mcp.runtime.model.plain_text import quoted

PREFIX: Final = "mcp_"
"""Beginning of the app name that a server has among integrations."""
ANY_SERVER: Final = "any MCP server"
ANY_TOOL: Final = "any tool"
METHODS: Final = frozenset({"resources/list", "resources/read", "prompts/list", "prompts/get"})
"""Methods of the protocol that stand among the tools of a server, which has no tool of such a name itself."""
TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_.\-/]{1,128}")
MAX_DESCRIPTION: Final = 4_000
MAX_SCHEMA_BYTES: Final = 32 << 10
_SHOWN_TEXT: Final = 120
_SHOWN_NAMES: Final = 6
ServerAuth = Literal["none", "token", "sign_in"]
ANY_HOST: Final = "*"
"""Stands for every public host in a list of hosts."""


class ServerTool(Model):
    """A tool as its server describes it. `reads`: the server says that it changes nothing.

    `digest` is of everything that the server says of it, also of what is cut off here.
    """

    name: str
    title: str = ""
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)
    reads: bool = False
    destroys: bool = True
    digest: str = ""


class ServerLaunch(Model):
    """The manifest of a server that comes as a package: how a person lets it run.

    `version` is empty until the package was installed. `hosts` are the only ones that it reaches: names,
    `*.example.com`, or `*` for every public one. `variables` name secrets that it gets in its environment.
    """

    version: str = ""
    arguments: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class LaunchChoice(Model):
    """A person's choice of a package's launch; None leaves a part as it was."""

    arguments: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    variables: tuple[str, ...] | None = None


class McpServer(Model):
    """A connected server, or one that a person has yet to agree to. `name` is the owner's for it.

    `url` is its address, or its package as in `pypi:mcp-server-fetch`, which `launch` starts. `believed`: the
    person takes the server's word for which tools only read. `problem`: why its tools could not be read the
    last time.
    """

    name: str
    url: str
    title: str = ""
    transport: Literal["http", "sse", "stdio"] = "http"
    launch: ServerLaunch | None = None
    auth: ServerAuth = "none"
    tokens_digest: str = ""
    """Another one after each sign-in and refresh, by whichever replica."""
    agreed: bool = False
    believed: bool = False
    problem: str = ""
    tools: int = 0

    @property
    def app(self) -> str:
        """Its name among integrations."""
        return PREFIX + self.name

    @property
    def token_name(self) -> str:
        """Name of the secret that holds its token."""
        return f"MCP_{self.name.upper()}_TOKEN"


class RegistryServer(Model):
    """A server that a registry lists, remote or as a package. Its words are its publisher's own.

    `variables` are names that a package reads from its environment, by the publisher's word.
    """

    name: str
    title: str = ""
    description: str = ""
    url: str
    variables: tuple[str, ...] = ()


class AgreedTool(Model):
    """A tool now (None: the server has it no more) and as it was agreed to (None: never was)."""

    server: McpServer
    now: ServerTool | None
    agreed: ServerTool | None

    @property
    def is_agreed(self) -> bool:
        """Whether it is as it was agreed to."""
        return self.now is not None and self.agreed is not None and self.now.digest == self.agreed.digest

    @property
    def only_reads(self) -> bool:
        """Whether a call needs no consent: the server says that it reads, and is believed."""
        return self.now is not None and self.now.reads and self.server.believed and self.is_agreed


@dataclass(frozen=True, slots=True)
class ServerReview:
    """A server as a person judges it: what it says of its tools, and what changed since they agreed.

    `changes`: (tool, sentences). `last_words` is the end of what a process wrote to its standard error, where it
    did not come up; `refused_host` one that it tried to reach and may not.
    """

    server: McpServer
    tools: tuple[AgreedTool, ...]
    changes: tuple[tuple[str, tuple[str, ...]], ...]
    last_words: str = ""
    refused_host: str = ""

    @property
    def digests(self) -> list[tuple[str, str]]:
        """The tools that a person agrees to: (name, digest)."""
        return [(tool.now.name, tool.now.digest) for tool in self.tools if tool.now is not None]

    @property
    def seen(self) -> str:
        """A digest of what a person agrees to."""
        launch = self.server.launch
        agreed = repr(sorted(self.digests)) + (launch.model_dump_json() if launch is not None else "")
        return hashlib.sha256(agreed.encode()).hexdigest()[:32]

    @property
    def reading(self) -> int:
        """Number of tools that only read, by the server's own word."""
        return sum(tool.now is not None and tool.now.reads for tool in self.tools)


def server_of(app: str) -> str | None:
    """The server that an app's name stands for; None for another app."""
    if app.startswith(PREFIX) and len(app) > len(PREFIX):
        return app.removeprefix(PREFIX)
    return None


def tool_digest(raw: Mapping[str, Any]) -> str:
    """A digest of everything that a server says of a tool; the order of its fields does not matter."""
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tool_differences(agreed: ServerTool | None, now: ServerTool) -> list[str]:
    """List the differences of a tool from what was agreed to, a sentence for each part."""
    if agreed is None:
        return ["it is new since you agreed to this server"]
    if agreed.digest == now.digest:
        return []

    lines: list[str] = []
    if agreed.reads != now.reads:
        lines.append(f"it says now that it {'only reads' if now.reads else 'may write'}")
    if agreed.destroys != now.destroys:
        lines.append(f"it says now that it {'may destroy' if now.destroys else 'destroys nothing'}")
    if agreed.description != now.description:
        before, after = _around_difference(agreed.description, now.description)
        lines.append(f"its description, from {quoted(before)} to {quoted(after)}")
    if agreed.title != now.title:
        lines.append(f"its title, now {quoted(now.title, _SHOWN_TEXT)}")
    lines += _field_differences(_properties(agreed), _properties(now))
    return lines or ["details of its fields or answers"]


def changed_parts(agreed: ServerTool | None, now: ServerTool | None) -> str:
    """Name the changed parts of a tool in words of ours alone, for messages that a model reads."""
    if now is None:
        return "it is gone"
    if agreed is None:
        return "it is new"
    parts = {
        "its description": agreed.description != now.description,
        "its title": agreed.title != now.title,
        "what it says of reading and destroying": (agreed.reads, agreed.destroys)
        != (now.reads, now.destroys),
        "its fields": agreed.input_schema != now.input_schema,
    }
    changed = [part for part, differs in parts.items() if differs]
    return f"{' and '.join(changed) or 'a detail of it'} changed"


def action_of(tool: AgreedTool) -> Action:
    """A tool as an action of integrations. Its name is unambiguous in the app of its server."""
    now = tool.now or ServerTool(name="")
    return Action(
        key=f"{tool.server.app}/{now.name}",
        app=tool.server.app,
        name=now.title or now.name,
        description=now.description,
        writes=not tool.only_reads,
        backend="mcp",
        props=tuple(_props(now)),
        version=now.digest[:12],
    )


def hit_of_tool(tool: AgreedTool) -> Hit:
    """A tool's entry in lists."""
    now = tool.now or ServerTool(name="")
    return Hit(
        key=f"{tool.server.app}/{now.name}",
        app=tool.server.app,
        name=now.title or now.name,
        writes=not tool.only_reads,
        backend="mcp",
    )


def required_fields(tool: ServerTool) -> list[str]:
    """Names of the fields without which the tool cannot be called."""
    required = tool.input_schema.get("required")
    if not isinstance(required, list):
        return []
    return [str(name) for name in cast("list[Any]", required)]


def _properties(tool: ServerTool) -> dict[str, Any]:
    found = tool.input_schema.get("properties")
    if not isinstance(found, dict):
        return {}
    return cast("dict[str, Any]", found)


def _props(tool: ServerTool) -> list[Prop]:
    required = set(required_fields(tool))
    return [_prop(name, object_of(schema), name in required) for name, schema in _properties(tool).items()]


def _prop(name: str, schema: dict[str, Any], required: bool) -> Prop:
    options = schema.get("enum")
    return Prop(
        name=name[:100],
        type=_type_of(schema),
        label=str(schema.get("title") or "")[:100],
        description=str(schema.get("description") or "")[:500],
        required=required and schema.get("default") is None,
        default=schema.get("default"),
        options=tuple(list_of(options)[:100]),
    )


def _type_of(schema: dict[str, Any]) -> str:
    """The type as fields of other integrations have it: `string`, `integer[]`, `any`."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in cast("list[Any]", kind) if one != "null"), None)
    if kind == "array":
        items = schema.get("items")
        if isinstance(items, dict):
            inner = _type_of(cast("dict[str, Any]", items))
        else:
            inner = "any"
        return f"{inner}[]"
    if isinstance(kind, str):
        return kind[:20]
    return "any"


def _field_differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    common = [name for name in after if name in before]
    changed = [name for name in common if tool_digest({"": before[name]}) != tool_digest({"": after[name]})]
    parts = {
        "adds": [name for name in after if name not in before],
        "removes": [name for name in before if name not in after],
        "changes": changed,
    }
    return [f"it {verb} {_listed(names)}" for verb, names in parts.items() if names]


def _listed(names: list[str]) -> str:
    shown = ", ".join(quoted(name, 60) for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    word = "field" if len(names) == 1 else "fields"
    return f"the {word} {shown}" + (f" and {more} more" if more > 0 else "")


def _around_difference(before: str, after: str) -> tuple[str, str]:
    """Parts of two texts from shortly before the place where they begin to differ."""
    pairs = enumerate(zip(before, after, strict=False))
    at = next((number for number, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = max(at - 30, 0)
    return before[start : start + _SHOWN_TEXT], after[start : start + _SHOWN_TEXT]
