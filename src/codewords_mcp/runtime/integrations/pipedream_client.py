"""Requests to Pipedream Connect: the project's token, what may be asked again, and errors in our words.

The API's protocol is in its public documentation (pipedream.com/docs/connect/api-reference).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import structlog

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import (
    CodewordsError,
    Conflict,
    MissingCredential,
    NotFound,
    TooBusy,
    UpstreamFailed,
    UpstreamTimedOut,
)
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.web.client import Web, WebResponse, retry_after

NAMES = ("PIPEDREAM_CLIENT_ID", "PIPEDREAM_CLIENT_SECRET", "PIPEDREAM_PROJECT_ID")
ENVIRONMENTS = ("PIPEDREAM_ENVIRONMENT", "PIPEDREAM_PROJECT_ENVIRONMENT")
HOW = (
    "Make a project and an OAuth client at pipedream.com (Projects → Connect, and Settings → API), then "
    "`codewords secrets set` PIPEDREAM_CLIENT_ID, PIPEDREAM_CLIENT_SECRET and PIPEDREAM_PROJECT_ID."
)
SECONDS = 30.0
TRIES = 3
LONGEST_WAIT = 8.0
"""Seconds for which a request waits for the broker to have time; a longer wait is told to the caller."""
_EARLY = 120.0
"""Seconds before its end at which a token is no longer used."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Project:
    """The home's project, and which of its two environments."""

    client_id: str
    client_secret: str
    id: str
    environment: str


class PipedreamClient:
    """The way to the API for one home. For one event loop."""

    def __init__(self, web: Web, secrets: SecretService, base_url: str) -> None:
        self._web = web
        self._secrets = secrets
        self._base = base_url
        self._token: tuple[Project, str, float] | None = None
        self._renewing = asyncio.Lock()

    async def project(self) -> Project | None:
        """What is configured, None where any part of it is missing."""
        given = await self._secrets.given(HOME_OWNER, [*NAMES, *ENVIRONMENTS])
        if any(name not in given for name in NAMES):
            return None
        environment = next((given[name] for name in ENVIRONMENTS if name in given), "development")
        if environment not in {"development", "production"}:
            log.warning("PIPEDREAM_ENVIRONMENT is neither development nor production; development is used")
            environment = "development"
        client_id, secret, project = (given[name] for name in NAMES)
        return Project(client_id, secret, project, environment)

    async def configured(self) -> Project:
        """The project. Raises MissingCredential."""
        project = await self.project()
        if project is None:
            given = await self._secrets.given(HOME_OWNER, [*NAMES])
            missing = next(name for name in NAMES if name not in given)
            raise MissingCredential(
                f"No Pipedream project is configured ({missing} is not set), so nothing was asked.",
                credential=missing,
                hint=HOW,
            )

        return project

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        once: bool = False,
        seconds: float = SECONDS,
    ) -> Any:
        """The answer's JSON, None for none. `{project}` in the path is the project's id.

        What changes nothing is asked up to three times where the broker breaks or has no time; with `once` never again.
        Raises MissingCredential, NotFound, Conflict (accounts), TooBusy, UpstreamFailed, UpstreamTimedOut.
        """
        end = time.monotonic() + seconds
        for tries_left in range(0 if once else TRIES - 1, -1, -1):
            try:
                return await self._try(
                    method, path, params, body, max(end - time.monotonic(), 1.0), once=once
                )
            except (TooBusy, UpstreamFailed) as error:
                pause = _pause(error, TRIES - tries_left)
                if not tries_left or pause is None or time.monotonic() + pause > end:
                    raise
                await asyncio.sleep(pause)

        raise AssertionError  # pragma: no cover  # the last try returns or raises

    async def _try(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Any,
        seconds: float,
        *,
        once: bool,
    ) -> Any:
        project = await self.configured()
        for may_renew in (not once, False):
            token = await self._bearer(project)
            reply = await self._web.api(
                self._base,
                path.replace("{project}", quote(project.id, safe="")),
                method=method,
                params=params,
                headers={"authorization": f"Bearer {token}", "x-pd-environment": project.environment},
                content=body,
                seconds=seconds,
            )
            if reply.status != 401:
                break

            self._token = None  # it may have been withdrawn before its time
            if not may_renew:
                break

        if reply.status >= 400:
            raise refusal(reply)
        if reply.body.strip():
            return reply.json()

        return None

    async def _bearer(self, project: Project) -> str:
        async with self._renewing:
            if self._token is None or self._token[0] != project or self._token[2] < time.monotonic():
                self._token = await self._new_token(project)
            return self._token[1]

    async def _new_token(self, project: Project) -> tuple[Project, str, float]:
        body = {
            "grant_type": "client_credentials",
            "client_id": project.client_id,
            "client_secret": project.client_secret,
        }
        headers = {"x-pd-environment": project.environment}
        reply = await self._web.api(
            self._base, "/v1/oauth/token", method="POST", headers=headers, content=body, seconds=SECONDS
        )
        if reply.status in {400, 401, 403}:
            raise _refused_credentials("It did not accept the OAuth client.")
        if reply.status >= 400:
            raise refusal(reply)

        told = shape(reply.json())
        token, lasts = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str) or not token:
            raise malformed(reply.status)

        if isinstance(lasts, int | float):
            seconds = float(lasts)
        else:
            seconds = 3600.0

        return project, token, time.monotonic() + max(seconds - _EARLY, seconds / 2)


def _pause(error: CodewordsError, attempt: int) -> float | None:
    """Seconds until the next try, None where there is none."""
    if isinstance(error, TooBusy):
        if error.retry_after <= LONGEST_WAIT:
            return error.retry_after
        return None
    if isinstance(error, UpstreamTimedOut):
        return None

    assert isinstance(error, UpstreamFailed)  # noqa: S101
    broken = error.upstream_status is None or error.upstream_status >= 500
    if broken:
        return 0.3 * 2**attempt

    return None


def refusal(reply: WebResponse) -> CodewordsError:
    """The error of an answer of 400 and above. What the broker says of it is data."""
    said, status = words_of(reply.body), reply.status
    match status:
        case 401 | 403:
            return _refused_credentials(f"It answered {status}.")
        case 404:
            return NotFound(
                "Pipedream has nothing of this name in the project.",
                hint="search_integrations, or `codewords integrations search`, finds what there is.",
            )
        case 429:
            wait = retry_after(reply)
            return TooBusy("Pipedream takes no more calls for now.", retry_after=wait, hint="Wait so long.")
        case 400 | 409 | 422 if "account" in said.lower():
            return Conflict("Pipedream cannot use this account for this person.", hint="Connect it again.")
        case 400 | 409 | 413 | 422:
            return UpstreamFailed(
                f"Pipedream did not accept the call ({status}).", upstream_status=status, upstream_said=said
            )
        case _:
            return UpstreamFailed(
                f"Pipedream answered {status}.",
                upstream_status=status,
                upstream_said=said,
                hint="Try again later; status.pipedream.com tells of outages.",
            )


def _refused_credentials(why: str) -> MissingCredential:
    return MissingCredential(
        f"Pipedream refused the project's credentials. {why}",
        credential="PIPEDREAM_CLIENT_SECRET",
        hint=f"Check that they are of one workspace and still valid. {HOW}",
    )


def malformed(status: int) -> UpstreamFailed:
    """For an answer that has not the shape it should have."""
    return UpstreamFailed(
        "Pipedream answered in a shape that it should not have.",
        upstream_status=status,
        hint="Try again later.",
    )


def shape(value: Any) -> dict[str, Any]:
    """The value, an object. Raises UpstreamFailed."""
    if not isinstance(value, dict):
        raise malformed(200)
    return cast("dict[str, Any]", value)


def entries(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; what is none of either is left out."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", one) for one in cast("list[Any]", value) if isinstance(one, dict)]


def words_of(body: bytes) -> str:
    """What an error's body says, in whichever of its shapes: `error` a sentence or an object, `message`."""
    try:
        found: Any = parse(body)
    except (ValueError, RecursionError):
        return ""
    return sentence(found)


def sentence(found: Any) -> str:
    """The words of an error, bounded; "" where there are none."""
    if isinstance(found, dict):
        told = cast("dict[str, Any]", found)
        for name in ("message", "detail", "error", "title"):
            if words := sentence(told.get(name)):
                return words

        if told:
            return sentence(json.dumps(told))

        return ""

    if isinstance(found, list):
        return sentence(", ".join(map(str, cast("list[Any]", found))))

    return "".join(c for c in str(found or "") if c.isprintable())[:500]
