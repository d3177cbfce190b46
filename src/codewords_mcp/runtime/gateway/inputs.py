"""Finds everything in a request that a provider bills and that its text does not show.

Works on the parsed body, and compares names without case and separators: some providers read
`max_tokens`, `maxTokens` and their escaped spellings alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from codewords_mcp.common.json_parts import list_of, object_of, text_of
from codewords_mcp.runtime.gateway.providers import SESSIONS
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json

SEARCHES = 10
"""Uses of a provider's tool if its documentation limits them and the request does not."""
# Fields that refer to nothing and hold no data. Most requests have no others.
_TEXT = frozenset(
    {
        "role", "content", "text", "type", "name", "id", "parts", "contents", "messages", "model", "input", "instructions",
        "system", "stream", "stream_options", "include_usage", "max_tokens", "max_completion_tokens", "max_output_tokens",
        "maxOutputTokens", "n", "seed", "stop", "temperature", "top_p", "user",
    }
)  # fmt: skip
_TEXT_TYPES = frozenset({"text", "input_text", "output_text", "message"})
_CONTAINERS = (dict, list)
# Fields that hold a schema, whose own field names mean nothing here.
_SCHEMAS = frozenset(
    {
        "parameters",
        "inputschema",
        "responseschema",
        "responsejsonschema",
        "schema",
        "jsonschema",
        "parametersjsonschema",
    }
)
_PICTURES = frozenset({"imageurl", "imagedata"})
_PICTURE_TYPES = frozenset({"image", "inputimage", "imageurl", "computerscreenshot"})
_DOCUMENTS = frozenset({"filedata", "fileid", "fileurl", "fileuri"})
_DOCUMENT_TYPES = frozenset({"document", "inputfile", "file", "containerupload"})
_SOUNDS = frozenset({"inputaudio", "audiourl", "videourl", "inputvideo", "videometadata"})
_STORED = frozenset(
    {"previousresponseid", "conversation", "cachedcontent", "container", "previousinteractionid"}
)
_OPENAI_CLIENT = frozenset(
    {"function", "custom", "localshell", "applypatch", "computerusepreview", "computer"}
)
_ANTHROPIC_CLIENT = re.compile(r"(custom|bash|texteditor|computer|memory)\d*")
_GEMINI_TOOLS = frozenset({"googlesearch", "googlesearchretrieval", "urlcontext", "codeexecution"})
_GEMINI_CLIENT = frozenset({"functiondeclarations", "computeruse"})
# Models that bill searches once per prompt. Later ones bill each query.
_GEMINI_ONE_PROMPT = re.compile(r"gemini-[12]")


@dataclass(slots=True)
class Inputs:
    """Billable inputs of a request beside its text."""

    pictures: int = 0
    documents: int = 0
    window: bool = False
    """An input may fill the model's whole window: sound, a stored conversation, a file by its id.
    """
    stored: bool = False
    """An earlier conversation, which may contain pictures."""
    cached: bool = False
    """Parts are to be stored in the provider's cache."""
    rounds: int = 0
    """Times that the provider may call the model again with results of its own tools."""
    searches: int = 0
    """Searches that are billed apart from tokens."""
    uncounted: str = ""
    """The input whose cost no response states, as text for a refusal; "" if everything can be
    counted.
    """


# The same few names occur in every request.
@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """Return a name without case and separators."""
    return name.casefold().replace("_", "").replace("-", "")


def spellings(container: Json) -> frozenset[str]:
    """Return the names of an object's fields as `plain` gives them."""
    return _spellings(tuple(container))


# Requests of a program have the same fields.
@lru_cache(maxsize=512)
def _spellings(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(plain, names))


def find_inputs(facts: RequestFacts) -> Inputs:
    """Walk a request once."""
    found = Inputs()
    if facts.files:
        found.pictures = facts.files
    # What was said before in a session counts again with each response.
    found.window = facts.route.flavor in SESSIONS
    converse = facts.route.flavor == "converse"
    for container in _objects(facts.parsed):
        if not _is_plain_text(container):
            _note_object(found, container)
            if converse:
                _note_block(found, container)
    if not facts.parsed.keys() <= _TEXT:
        _note_top(found, facts)
    return found


def _is_plain_text(container: Json) -> bool:
    """Return True where `_note` would find nothing."""
    if not container.keys() <= _TEXT:
        return False
    kind = container.get("type")
    return kind is None or (isinstance(kind, str) and kind in _TEXT_TYPES)


def _objects(value: Any) -> Iterator[Json]:
    """Every object in a value, except those in schemas."""
    # A list instead of recursion, since bodies come from callers.
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found = cast("Json", value)
            yield found
            waiting += [
                inner
                for name, inner in found.items()
                if isinstance(inner, _CONTAINERS) and plain(name) not in _SCHEMAS
            ]
        elif isinstance(value, list):
            waiting += [inner for inner in cast("list[Any]", value) if isinstance(inner, _CONTAINERS)]


def _note_object(found: Inputs, container: Json) -> None:
    names = {plain(name) for name, value in container.items() if value is not None}
    kind = plain(text_of(container.get("type")))
    if names & _PICTURES or kind in _PICTURE_TYPES:
        found.pictures += 1
    if names & _DOCUMENTS or (kind in _DOCUMENT_TYPES and not _is_text(container)):
        found.documents += 1
    if names & _SOUNDS or kind in {"inputaudio", "inputvideo", "video", "audio"}:
        found.window = True
    if names & _STORED or kind == "itemreference":
        found.stored = found.window = True
    if "inlinedata" in names:
        _note_inline(found, container)
    # An earlier spoken answer, by its id.
    if "audio" in names and "role" in names:
        found.window = True
    if "cachecontrol" in names:
        found.cached = True


def _note_block(found: Inputs, container: Json) -> None:
    """Count a content block of Bedrock's Converse, whose only name is its kind."""
    names = {plain(name) for name, value in container.items() if value is not None}
    if "image" in names:
        found.pictures += 1
    if "document" in names:
        found.documents += 1
    if names & {"video", "audio", "s3location", "searchresult"}:
        found.window = True
    if "cachepoint" in names:
        found.cached = True
    if names & {"guardrailconfig", "promptvariables", "systemtool"}:
        found.uncounted = (
            "Guardrails, stored prompts and tools of Bedrock are billed outside the reported usage"
        )


def _is_text(document: Json) -> bool:
    source: Any = document.get("source")
    return isinstance(source, dict) and cast("Json", source).get("type") in {"text", "content"}


def _note_inline(found: Inputs, container: Json) -> None:
    """Count Gemini's inline data by its media type."""
    data: Any = next(
        value for name, value in container.items() if plain(name) == "inlinedata" and value is not None
    )
    media = "".join(str(value) for name, value in object_of(data).items() if plain(name) == "mimetype")

    if media.casefold().startswith("image/"):
        found.pictures += 1
    else:
        found.documents += 1


def _note_top(found: Inputs, facts: RequestFacts) -> None:
    """Count the provider's own tools and other top-level fields."""
    top = {plain(name): value for name, value in facts.parsed.items() if value not in (None, [], {})}
    if isinstance(top.get("prompt"), dict):
        found.uncounted = "A stored prompt may hold tools and pictures, and the request does not show them"
    if any(name in top for name in ("mcpservers", "plugins")):
        found.uncounted = "Servers and plugins that the provider calls are billed outside the reported usage"

    if "websearchoptions" in top:
        _note_searches(found, 1)
    tools: Any = top.get("tools")
    # A provider may take a single tool without a list around it.
    if tools and not isinstance(tools, list):
        tools = [tools]
    for tool in list_of(tools):
        _note_tool(found, facts, object_of(tool), top)


def _note_tool(found: Inputs, facts: RequestFacts, tool: Json, top: Json) -> None:
    kind = plain(text_of(tool.get("type")))
    if facts.route.dialect == "gemini":
        _note_gemini_tool(found, facts, {plain(name) for name in tool})
    elif facts.route.dialect == "anthropic":
        # Tools of these kinds run at the caller.
        if not kind or _ANTHROPIC_CLIENT.fullmatch(kind):
            return
        if kind.startswith(("websearch", "webfetch")):
            _note_searches(found, count_of(tool.get("max_uses")) or SEARCHES)
        else:
            found.uncounted = "A tool that the provider runs is billed outside the reported usage"
    elif kind in _OPENAI_CLIENT:
        # Tools of these kinds run at the caller.
        return
    elif kind.startswith("websearch") and (max_calls := count_of(top.get("maxtoolcalls"))):
        _note_searches(found, max_calls)
    elif kind.startswith("websearch"):
        found.uncounted = "A web search without `max_tool_calls` has no limit"
    else:
        found.uncounted = "A tool that the provider runs is billed outside the reported usage"


def _note_gemini_tool(found: Inputs, facts: RequestFacts, names: set[str]) -> None:
    if names - _GEMINI_TOOLS - _GEMINI_CLIENT:
        found.uncounted = "A tool that the provider runs is billed outside the reported usage"
    if names & _GEMINI_TOOLS:
        found.window = True
        found.rounds = max(found.rounds, SEARCHES)
    if names & {"googlesearch", "googlesearchretrieval"}:
        found.searches += 1 if _GEMINI_ONE_PROMPT.match(facts.model) else SEARCHES


def _note_searches(found: Inputs, uses: int) -> None:
    found.window = True
    found.rounds += uses
    found.searches += uses


def count_of(value: Any) -> int:
    """A count as providers read it: a number, also as text or with a fraction; 0 if it is none."""
    if isinstance(value, str):
        # isdigit alone takes digits of other scripts, and a long number costs time.
        if value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        else:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e19:
        return 0
    # Rounded up: a fraction counts as one more.
    return -int(-value // 1)
