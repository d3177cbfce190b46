"""The skills extension (SEP-2640): `skills/list`, `skills/get`, and the files of skills as resources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp.server.context import HandlerResult
from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import TextResource
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from codewords_mcp.mcp_server.skills import Skill, digest, skills

_CACHE_FIELDS = {"resultType": "complete", "ttlMs": 300_000, "cacheScope": "public"}


class GetSkillParams(RequestParams):
    """Names a skill by its SKILL.md."""

    uri: str


class Skills(Extension):
    """The skills of this server, the same for everybody."""

    identifier = "io.modelcontextprotocol/skills"

    def resources(self) -> Sequence[ResourceBinding]:
        """Return the files of all skills."""
        return [
            ResourceBinding(
                TextResource(
                    uri=skill.uri_of(path), name=f"{skill.name}/{path}", text=text, mime_type="text/markdown"
                )
            )
            for skill in skills()
            for path, text in skill.files.items()
        ]

    def methods(self) -> Sequence[MethodBinding]:
        """Return `skills/list` and `skills/get`, for both protocol eras."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", GetSkillParams, self._get),
        ]

    async def _list(self, _: Any, __: PaginatedRequestParams) -> HandlerResult:
        return {**_CACHE_FIELDS, "skills": [_entry(skill) for skill in skills()]}

    async def _get(self, _: Any, params: GetSkillParams) -> HandlerResult:
        for skill in skills():
            if skill.uri == params.uri:
                return {**_CACHE_FIELDS, "skill": _entry(skill)}
        raise MCPError(
            INVALID_PARAMS, "There is no skill at this address: see skills/list.", {"uri": params.uri}
        )


def _entry(skill: Skill) -> dict[str, Any]:
    files = [
        {"uri": skill.uri_of(path), "digest": digest(text), "size": len(text.encode())}
        for path, text in skill.files.items()
    ]
    return {"uri": skill.uri, "frontmatter": skill.front_matter, "resources": files}
