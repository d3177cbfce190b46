"""Event source: issues, pull requests, releases and pushes of a GitHub repository."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Literal, cast

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.triggers.sources.app_items import naming, time_of, unexpected
from codewords_mcp.runtime.triggers.sources.base import (
    AppCalls,
    EventSource,
    Polled,
    SourceEvent,
    SourceTools,
)
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys

PAGE, MAX_PAGES = 100, 3
"""GitHub lists the 300 latest events of a repository."""
MAX_PAYLOAD = 256 << 10
"""Bytes of the details of an event as JSON."""
LONGEST_PAUSE = timedelta(hours=1)
_TYPES = {
    "issues": "IssuesEvent",
    "comments": "IssueCommentEvent",
    "pull_requests": "PullRequestEvent",
    "releases": "ReleaseEvent",
    "pushes": "PushEvent",
}
_SUBJECTS = ("comment", "issue", "pull_request", "release")
EventName = Literal["issues", "comments", "pull_requests", "releases", "pushes"]


class GitHubOptions(Model):
    """Options of the source `github`."""

    repository: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_.-]{1,100}$", description="owner/name."
    )
    events: list[EventName] = Field(
        default=["issues", "pull_requests", "releases", "pushes"], min_length=1, description="Which to tell."
    )
    actions: list[str] = Field(
        default=[], max_length=20, description='Only these actions, as ["opened", "closed"]; empty: all.'
    )


class GitHubSource(EventSource[GitHubOptions]):
    """The repository's events are asked for with their ETag, which costs nothing of the rate limit while nothing is new."""

    kind = "github"
    title = "Issues, pull requests, releases and pushes of a GitHub repository"
    # Looks are spread by a tenth, and GitHub wants 60 seconds between two.
    interval_s = 66.0
    min_interval_s = 60.0
    Options = GitHubOptions

    @override
    async def poll(self, options: GitHubOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        before = cast("JsonObject", state or {})
        now = tools.now()
        if _is_too_early(before, now):
            return Polled([], state)

        api = await tools.native("github")
        etag = before.get("etag")
        async with naming("repository"):
            headers = {"if-none-match": etag} if isinstance(etag, str) else {}
            answer = await api.exchange("GET", _path(options), params=_params(1), headers=headers)
            pause = _seconds(answer.headers.get("x-poll-interval", ""))
            after = before | {"not_before": (now + timedelta(seconds=pause)).isoformat()}
            if answer.status == 304:
                return Polled([], after)

            seen = SeenKeys(before.get("seen"))
            listed = _events(answer.body)
            # As long as a whole page is new there may be more before it.
            for page in range(2, MAX_PAGES + 1):
                if (
                    state is None
                    or len(listed) < PAGE * (page - 1)
                    or any(_id(event) in seen for event in listed)
                ):
                    break
                listed += _events(await api.request("GET", _path(options), params=_params(page)))

        new = [event for event in listed if _id(event) not in seen]
        after |= {"etag": answer.headers.get("etag"), "seen": seen.with_shown(_id(event) for event in listed)}
        if state is None:
            return Polled([], after)
        # A page that was listed while something came has an event of the page before it again.
        unique = {_id(event): event for event in reversed(new)}
        return Polled([_to_event(event) for event in unique.values() if _fits(event, options)], after)

    @override
    async def sample(self, options: GitHubOptions, tools: SourceTools) -> SourceEvent | None:
        api: AppCalls = await tools.native("github")
        async with naming("repository"):
            listed = _events(await api.request("GET", _path(options), params=_params(1)))
        return next((_to_event(event) for event in listed if _fits(event, options)), None)


def _is_too_early(state: JsonObject, now: datetime) -> bool:
    """Whether GitHub asked for a longer pause. A time far ahead is of a clock that was wrong."""
    text = state.get("not_before")
    if not isinstance(text, str):
        return False
    not_before = datetime.fromisoformat(text)
    return now < not_before <= now + LONGEST_PAUSE


def _seconds(text: str) -> int:
    # A second less: looks are spread around the pause.
    if text.isascii() and text.isdigit() and len(text) < 6:
        return min(int(text) - 1, int(LONGEST_PAUSE.total_seconds()))
    return 0


def _path(options: GitHubOptions) -> str:
    return f"/repos/{options.repository}/events"


def _params(page: int) -> dict[str, str]:
    return {"per_page": str(PAGE), "page": str(page)}


def _events(body: JsonValue) -> list[JsonObject]:
    """Return the events of a page, the newest first. Raises UpstreamFailed."""
    if not isinstance(body, list):
        raise unexpected()
    return [event for event in body if isinstance(event, dict) and event.get("id")]


def _id(event: JsonObject) -> str:
    return str(event["id"])


def _payload(event: JsonObject) -> JsonObject:
    return object_of(event.get("payload"))


def _fits(event: JsonObject, options: GitHubOptions) -> bool:
    if event.get("type") not in {_TYPES[name] for name in options.events}:
        return False
    action = _payload(event).get("action")
    return not options.actions or action is None or action in options.actions


def _to_event(event: JsonObject) -> SourceEvent:
    payload, actor = _payload(event), event.get("actor")
    fits = len(json.dumps(payload)) <= MAX_PAYLOAD
    found = {name: kind for kind, name in _TYPES.items()}
    data: JsonObject = {
        "event": found.get(str(event.get("type")), str(event.get("type"))),
        "action": payload.get("action"),
        "actor": object_of(actor).get("login"),
        "url": _url(payload) or _url_of_repository_event(event, payload),
        "created_at": event.get("created_at"),
        "payload": payload if fits else None,
        "truncated": not fits,
    }
    created = event.get("created_at")
    return SourceEvent(_id(event), data, time_of(created) if created else None)


def _url(payload: JsonObject) -> JsonValue:
    """Return the page of what the event is about."""
    for name in _SUBJECTS:
        subject = payload.get(name)
        if isinstance(subject, dict) and isinstance(subject.get("html_url"), str):
            return subject["html_url"]
    return None


def _url_of_repository_event(event: JsonObject, payload: JsonObject) -> JsonValue:
    """Return the page of a pull request or a push, whose events name only addresses of the API."""
    address = object_of(event.get("repo")).get("url")
    if not isinstance(address, str):
        return None
    # GitHub Enterprise Server has its API below a path of the same host.
    page = address.replace("://api.github.com/repos/", "://github.com/").replace("/api/v3/repos/", "/")
    match event.get("type"):
        case "PullRequestEvent":
            return f"{page}/pull/{payload.get('number')}"
        case "PushEvent":
            return f"{page}/compare/{payload.get('before')}...{payload.get('head')}"
        case _:
            return None
