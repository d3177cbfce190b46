"""HTTP client of Pipedream Connect: the project's token, retries, and errors in our own words.

The API is documented publicly (pipedream.com/docs/connect/api-reference).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote

import structlog

from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.errors import (
    CodewordsError,
    Conflict,
    MissingCredential,
    NotFound,
    TooBusy,
    UpstreamFailed,
    UpstreamTimedOut,
)
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

CREDENTIAL_NAMES = ("PIPEDREAM_CLIENT_ID", "PIPEDREAM_CLIENT_SECRET", "PIPEDREAM_PROJECT_ID")
ENVIRONMENT_NAMES = ("PIPEDREAM_ENVIRONMENT", "PIPEDREAM_PROJECT_ENVIRONMENT")
SETUP: Final = Remedy(
    RemedyAction.SET_SECRETS,
    {"names": "PIPEDREAM_CLIENT_ID, PIPEDREAM_CLIENT_SECRET and PIPEDREAM_PROJECT_ID"},
)
SETUP_HINT: Final = (
    "Make a project and an OAuth client at pipedream.com (Projects → Connect, and Settings → API). "
    + SETUP.words
)
REQUEST_TIMEOUT_S = 30.0
MAX_ATTEMPTS = 3
MAX_RETRY_WAIT_S = 8.0
"""Maximum seconds that a request waits before a retry; a longer wait is reported to the caller."""
# Seconds before its expiry at which a token is no longer used.
_TOKEN_MARGIN_S = 120.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Project:
    """The home's project, and its environment at Pipedream."""

    client_id: str
    client_secret: str
    id: str
    environment: str


class PipedreamClient:
    """Client for one home's project. For one event loop."""

    def __init__(self, web: Web, secrets: SecretService, base_url: str) -> None:
        self._web = web
        self._secrets = secrets
        self._base = base_url
        self._token: tuple[Project, str, float] | None = None
        self._renewing = asyncio.Lock()

    async def project(self) -> Project | None:
        """Return the configured project, None if any part of it is missing."""
        settings = await self._secrets.resolve(HOME_OWNER, [*CREDENTIAL_NAMES, *ENVIRONMENT_NAMES])
        if any(name not in settings for name in CREDENTIAL_NAMES):
            return None
        environment = next((settings[name] for name in ENVIRONMENT_NAMES if name in settings), "development")
        if environment not in {"development", "production"}:
            # A wrong value must not stop the runtime; the environment of tests does less harm.
            log.warning("invalid PIPEDREAM_ENVIRONMENT, development is used")
            environment = "development"
        client_id, secret, project = (settings[name] for name in CREDENTIAL_NAMES)
        return Project(client_id, secret, project, environment)

    async def configured(self) -> Project:
        """Return the project. Raises MissingCredential."""
        project = await self.project()
        if project is None:
            settings = await self._secrets.resolve(HOME_OWNER, [*CREDENTIAL_NAMES])
            missing = next(name for name in CREDENTIAL_NAMES if name not in settings)
            raise MissingCredential(
                f"No Pipedream project is configured ({missing} is not set), so no request was made.",
                credential=missing,
                hint=SETUP_HINT,
                remedy=SETUP,
            )

        return project

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        once: bool = False,
        seconds: float = REQUEST_TIMEOUT_S,
    ) -> JsonValue:
        """Return the response's JSON, None if it is empty. `{project}` in the path is the project's
        id.

        Requests are tried up to three times if the broker fails or is busy; with `once` never
        again. Raises MissingCredential, NotFound, Conflict (accounts), TooBusy, UpstreamFailed,
        UpstreamTimedOut.
        """
        deadline = time.monotonic() + seconds
        # A request that changes something must not be sent twice.
        for tries_left in range(0 if once else MAX_ATTEMPTS - 1, -1, -1):
            try:
                return await self._try(
                    method, path, params, body, max(deadline - time.monotonic(), 1.0), once=once
                )
            except (TooBusy, UpstreamFailed) as error:
                pause = _retry_delay(error, MAX_ATTEMPTS - tries_left)
                if not tries_left or pause is None or time.monotonic() + pause > deadline:
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
    ) -> JsonValue:
        project = await self.configured()
        for may_renew in (not once, False):
            token = await self._bearer(project)
            response = await self._web.api(
                self._base,
                path.replace("{project}", quote(project.id, safe="")),
                method=method,
                params=params,
                headers={"authorization": f"Bearer {token}", "x-pd-environment": project.environment},
                content=body,
                seconds=seconds,
            )
            if response.status != 401:
                break

            # The token may have been revoked before its expiry.
            self._token = None
            if not may_renew:
                break

        if response.status >= 400:
            raise to_error(response)
        if response.body.strip():
            return response.json()

        return None

    async def _bearer(self, project: Project) -> str:
        # One renewal at a time: requests that wait for it use its token.
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
        response = await self._web.api(
            self._base,
            "/v1/oauth/token",
            method="POST",
            headers=headers,
            content=body,
            seconds=REQUEST_TIMEOUT_S,
        )
        if response.status in {400, 401, 403}:
            raise _refused_credentials("It refused the OAuth client.")
        if response.status >= 400:
            raise to_error(response)

        fields = as_object(response.json())
        token, expires_in = fields.get("access_token"), fields.get("expires_in")
        if not isinstance(token, str) or not token:
            raise unexpected_format(response.status)

        if isinstance(expires_in, int | float):
            seconds = float(expires_in)
        else:
            seconds = 3600.0

        # A token that lives shortly must not be renewed for each request.
        return project, token, time.monotonic() + max(seconds - _TOKEN_MARGIN_S, seconds / 2)


def _retry_delay(error: CodewordsError, attempt: int) -> float | None:
    """Return the seconds before the next attempt, None if there is none."""
    if isinstance(error, TooBusy):
        if error.retry_after <= MAX_RETRY_WAIT_S:
            return error.retry_after
        return None
    # It may have been done, and waiting again would exceed the caller's patience.
    if isinstance(error, UpstreamTimedOut):
        return None

    assert isinstance(error, UpstreamFailed)  # noqa: S101
    # Errors of the connection and of the server pass; others would come again.
    broken = error.upstream_status is None or error.upstream_status >= 500
    if broken:
        return 0.3 * 2**attempt

    return None


def to_error(response: WebResponse) -> CodewordsError:
    """Return the error for a response of 400 and above. The broker's own text is data."""
    message, status = error_text_of(response.body), response.status
    match status:
        case 401 | 403:
            return _refused_credentials(f"It answered {status}.")
        case 404:
            return NotFound(
                "Pipedream has nothing of this name in the project.",
                remedy=Remedy(RemedyAction.FIND_INTEGRATION),
            )
        case 429:
            wait = retry_after(response)
            return TooBusy(
                "Pipedream's rate limit is reached.", retry_after=wait, hint="Wait until it is reset."
            )
        # The broker has no code of its own for this.
        case 400 | 409 | 422 if "account" in message.lower():
            return Conflict(
                "Pipedream can't use this account for this person.", hint="Connect the account again."
            )
        case 400 | 409 | 413 | 422:
            return UpstreamFailed(
                f"Pipedream refused the call ({status}).", upstream_status=status, upstream_said=message
            )
        case _:
            return UpstreamFailed(
                f"Pipedream answered {status}.",
                upstream_status=status,
                upstream_said=message,
                hint="Try again later; status.pipedream.com lists outages.",
            )


def _refused_credentials(why: str) -> MissingCredential:
    return MissingCredential(
        f"Pipedream refused the project's credentials. {why}",
        credential="PIPEDREAM_CLIENT_SECRET",
        hint=f"Check that all belong to one workspace and are still valid. {SETUP_HINT}",
        remedy=SETUP,
    )


def unexpected_format(status: int) -> UpstreamFailed:
    """Return the error for a response with an unexpected format."""
    return UpstreamFailed(
        "Pipedream's response has an unexpected format.",
        upstream_status=status,
        hint="Try again later.",
    )


def as_object(value: Any) -> dict[str, Any]:
    """Return the value if it is an object. Raises UpstreamFailed."""
    if not isinstance(value, dict):
        raise unexpected_format(200)
    return cast("dict[str, Any]", value)


def object_entries(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; anything else is left out."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", entry) for entry in cast("list[Any]", value) if isinstance(entry, dict)]


def error_text_of(body: bytes) -> str:
    """Return the message of an error's body in any of its formats: `error` as text or object,
    `message`.
    """
    try:
        found: Any = parse(body)
    except (ValueError, RecursionError):
        return ""
    return error_text(found)


def error_text(found: Any) -> str:
    """Return the message of an error, bounded; "" if there is none."""
    if isinstance(found, dict):
        body = cast("dict[str, Any]", found)
        for name in ("message", "detail", "error", "title"):
            if words := error_text(body.get(name)):
                return words

        if body:
            return error_text(json.dumps(body))

        return ""

    if isinstance(found, list):
        return error_text(", ".join(map(str, cast("list[Any]", found))))

    # Another party's text: one line, bounded.
    return "".join(c for c in str(found or "") if c.isprintable())[:500]
