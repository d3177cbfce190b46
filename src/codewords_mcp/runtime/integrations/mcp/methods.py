"""Resources and prompts of servers, as tools under the names that the protocol gives their methods.

So manifests, agreements, dry runs, recordings and bounds hold for them as for tools. An agreement is to whatever a
server offers for reading: its lists and texts change by themselves, and are answers, which never describe a tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.mcp import ServerTool, tool_digest

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import BaseMetadata, CallToolResult, PromptMessage, ServerCapabilities

MAX_TEXT: Final = 2_000
"""Characters of a URI, a name or a cursor."""


def _method(
    name: str, title: str, description: str, fields: dict[str, dict[str, Any]], *required: str
) -> ServerTool:
    return ServerTool(
        name=name,
        title=title,
        description=description,
        input_schema={"type": "object", "properties": fields, "required": list(required)},
        reads=True,
        destroys=False,
        # Not of its words, which are ours: another wording asks nobody again.
        digest=tool_digest({"method": name}),
    )


_CURSOR: Final = {"cursor": {"type": "string", "description": "`nextCursor` of the page before."}}
_RESOURCES: Final = (
    _method(
        "resources/list",
        "List resources",
        "List the texts and files that the server offers for reading, and templates of their URIs.",
        _CURSOR,
    ),
    _method(
        "resources/read",
        "Read a resource",
        "Read a text or file that the server offers.",
        {"uri": {"type": "string", "description": "Its URI, as listed or made by a template."}},
        "uri",
    ),
)
_PROMPTS: Final = (
    _method("prompts/list", "List prompts", "List the server's prompts with their arguments.", _CURSOR),
    _method(
        "prompts/get",
        "Get a prompt",
        "Get the messages of a prompt of the server.",
        {
            "name": {"type": "string"},
            "arguments": {"type": "object", "description": "Texts by the names of the prompt's arguments."},
        },
        "name",
    ),
)


def method_tools(capabilities: ServerCapabilities) -> list[ServerTool]:
    """List the tools for what a server says that it offers."""
    found: list[ServerTool] = []
    if capabilities.resources is not None:
        found += _RESOURCES
    if capabilities.prompts is not None:
        found += _PROMPTS
    return found


def tool_request(
    name: str, arguments: dict[str, Any]
) -> Callable[[Client], Coroutine[Any, Any, CallToolResult]]:
    """Return the request of a call of a tool. Raises InvalidInput for arguments that a method does not take."""
    match name:
        case "resources/list":
            cursor = _text(arguments, "cursor")
            return lambda client: _list_resources(client, cursor)
        case "resources/read":
            uri = _text(arguments, "uri") or ""
            return lambda client: _read_resource(client, uri)
        case "prompts/list":
            cursor = _text(arguments, "cursor")
            return lambda client: _list_prompts(client, cursor)
        case "prompts/get":
            prompt, texts = _text(arguments, "name") or "", _texts(arguments)
            return lambda client: _get_prompt(client, prompt, texts)
        case _:
            return lambda client: client.call_tool(name, arguments)


async def _list_resources(client: Client, cursor: str | None) -> CallToolResult:
    """Read a page of resources; the first one comes with the templates, of servers that have any."""
    from mcp import MCPError
    from mcp_types import METHOD_NOT_FOUND

    page = await client.list_resources(cursor=cursor)
    data = _page("resources", page.resources, page.next_cursor)
    if cursor is None:
        try:
            data["resourceTemplates"] = _items((await client.list_resource_templates()).resource_templates)
        except MCPError as error:
            # Templates are optional, and a server without them need not know the method.
            if error.code != METHOD_NOT_FOUND:
                raise
    return _answer(data)


async def _list_prompts(client: Client, cursor: str | None) -> CallToolResult:
    page = await client.list_prompts(cursor=cursor)
    return _answer(_page("prompts", page.prompts, page.next_cursor))


async def _read_resource(client: Client, uri: str) -> CallToolResult:
    from mcp_types import CallToolResult, EmbeddedResource

    found = await client.read_resource(uri)
    return CallToolResult(content=[EmbeddedResource(resource=part) for part in found.contents])


async def _get_prompt(client: Client, name: str, arguments: dict[str, str]) -> CallToolResult:
    from mcp_types import CallToolResult

    found = await client.get_prompt(name, arguments or None)
    data = {"description": found.description or "", "messages": list(map(_message, found.messages))}
    return CallToolResult(content=[message.content for message in found.messages], structured_content=data)


def _message(message: PromptMessage) -> dict[str, str]:
    """A message with its text. Pictures, sounds and data are among the files of the answer."""
    content = message.content
    if content.type == "text":
        text = content.text
    elif content.type == "resource":
        text = str(getattr(content.resource, "text", ""))
    else:
        text = ""
    return {"role": message.role, "text": text}


def _page(name: str, found: Sequence[BaseMetadata], next_cursor: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {name: _items(found)}
    if next_cursor is not None:
        data["nextCursor"] = next_cursor
    return data


def _items(found: Sequence[BaseMetadata]) -> list[dict[str, Any]]:
    return [
        item.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta", "icons"})
        for item in found
    ]


def _answer(data: dict[str, Any]) -> CallToolResult:
    from mcp_types import CallToolResult

    return CallToolResult(content=[], structured_content=data)


def _text(arguments: dict[str, Any], name: str) -> str | None:
    value = arguments.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > MAX_TEXT):
        raise InvalidInput(f"`{name}` is a text of at most {MAX_TEXT:,} characters.")
    return value


def _texts(arguments: dict[str, Any]) -> dict[str, str]:
    """The arguments of a prompt, which the protocol takes as texts only."""
    texts = arguments.get("arguments")
    if texts is None:
        return {}
    if not isinstance(texts, dict):
        raise InvalidInput("`arguments` is an object of texts.")
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in cast("dict[str, Any]", texts).items()
    }
