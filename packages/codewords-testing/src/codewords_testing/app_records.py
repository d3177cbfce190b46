"""Whole records of apps, in the fields that each app's published description demands."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
_GITHUB, _API = "https://github.com", "https://api.github.com"
_USER_LINKS = {
    "followers_url": "followers", "following_url": "following{/other_user}", "gists_url": "gists{/gist_id}",
    "starred_url": "starred{/owner}{/repo}", "subscriptions_url": "subscriptions", "organizations_url": "orgs",
    "repos_url": "repos", "events_url": "events{/privacy}", "received_events_url": "received_events",
}  # fmt: skip
_NOTION_USER = {"object": "user", "id": "6794760a-1f15-45cd-9c65-0dfe42f5135a"}
NOTION_DATABASE, NOTION_SOURCE = "a1" * 16, "d5" * 16
TIME = "2026-02-01T12:00:00Z"


def github_user(login: str = "ann") -> Json:
    """A user, as issues and releases have it."""
    url = f"{_API}/users/{login}"
    return {
        "login": login, "id": 1, "node_id": "MDQ6VXNlcjE=", "avatar_url": f"{_GITHUB}/{login}.png", "gravatar_id": "",
        "url": url, "html_url": f"{_GITHUB}/{login}", "type": "User", "site_admin": False,
        **{name: f"{url}/{path}" for name, path in _USER_LINKS.items()},
    }  # fmt: skip


def github_issue(repository: str, number: int, title: str, **more: Any) -> Json:
    """An issue of `owner/name`. `more` replaces or adds fields."""
    url = f"{_API}/repos/{repository}/issues/{number}"
    issue: Json = {
        "id": number, "node_id": "MDU6SXNzdWUx", "url": url, "repository_url": f"{_API}/repos/{repository}",
        "labels_url": f"{url}/labels{{/name}}", "comments_url": f"{url}/comments", "events_url": f"{url}/events",
        "html_url": f"{_GITHUB}/{repository}/issues/{number}", "number": number, "state": "open", "title": title,
        "body": None, "user": github_user(), "labels": [], "assignee": None, "assignees": [], "milestone": None,
        "locked": False, "comments": 0, "closed_at": None, "created_at": TIME, "updated_at": TIME,
        "author_association": "OWNER",
    }  # fmt: skip
    return issue | more


def _issues(repository: str, number: int, action: str) -> Json:
    return {"action": action, "issue": github_issue(repository, number, f"Issue {number}")}


def _pull_request(repository: str, number: int, action: str) -> Json:
    """The events of a repository have no more of a pull request than this."""
    name = repository.partition("/")[2]
    side = {"sha": "0" * 40, "repo": {"id": 1, "name": name, "url": f"{_API}/repos/{repository}"}}
    request = {
        "id": number, "number": number, "url": f"{_API}/repos/{repository}/pulls/{number}",
        "head": {"ref": "change", **side}, "base": {"ref": "main", **side},
    }  # fmt: skip
    return {"action": action, "number": number, "pull_request": request}


def _release(repository: str, number: int, action: str) -> Json:
    url = f"{_API}/repos/{repository}/releases/{number}"
    release: Json = {
        "url": url, "assets_url": f"{url}/assets", "upload_url": f"{url}/assets{{?name,label}}",
        "html_url": f"{_GITHUB}/{repository}/releases/tag/v{number}", "id": number, "node_id": "RE_1",
        "tag_name": f"v{number}", "target_commitish": "main", "name": f"v{number}", "draft": False, "prerelease": False,
        "created_at": TIME, "published_at": TIME, "author": github_user(), "assets": [], "body": "",
        "tarball_url": f"{_API}/repos/{repository}/tarball/v{number}",
        "zipball_url": f"{_API}/repos/{repository}/zipball/v{number}",
    }  # fmt: skip
    return {"action": action, "release": release}


def _push(_repository: str, number: int, _action: str) -> Json:
    """Without the commits."""
    return {
        "repository_id": 1, "push_id": number, "ref": "refs/heads/main", "head": f"{number:040x}", "before": "0" * 40,
    }  # fmt: skip


def _watch(_repository: str, _number: int, _action: str) -> Json:
    return {"action": "started"}


_PAYLOADS = {
    "IssuesEvent": _issues,
    "PullRequestEvent": _pull_request,
    "ReleaseEvent": _release,
    "PushEvent": _push,
    "WatchEvent": _watch,
}


def github_event(
    number: int,
    kind: str = "IssuesEvent",
    action: str = "opened",
    *,
    repository: str = "ann/tools",
    at: str = TIME,
) -> Json:
    """An event of a repository, of one of five kinds; its subject has the event's number."""
    actor = {
        "id": 2, "login": "bob", "display_login": "bob", "gravatar_id": "", "url": f"{_API}/users/bob",
        "avatar_url": "https://avatars.githubusercontent.com/u/2?",
    }  # fmt: skip
    return {
        "id": str(number),
        "type": kind,
        "actor": actor,
        "repo": {"id": 1, "name": repository, "url": f"{_API}/repos/{repository}"},
        "payload": _PAYLOADS[kind](repository, number, action),
        "public": True,
        "created_at": at,
    }


def notion_page(name: str, at: datetime, *, parent: Json | None = None) -> Json:
    """A page with its title. Notion's times are those of minutes."""
    minute = at.replace(second=0).strftime("%Y-%m-%dT%H:%M:00.000Z")
    page = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return {
        "object": "page", "id": page, "created_time": minute, "last_edited_time": minute, "created_by": _NOTION_USER,
        "last_edited_by": _NOTION_USER, "cover": None, "icon": None, "archived": False, "in_trash": False,
        "is_archived": False, "is_locked": False,
        "parent": parent or notion_source_parent(NOTION_SOURCE),
        "properties": {"Name": {"id": "title", "type": "title", "title": [_notion_text(name)]}},
        "url": f"https://www.notion.so/{page.replace('-', '')}", "public_url": None,
    }  # fmt: skip


def notion_source_parent(source_id: str, database_id: str = NOTION_DATABASE) -> Json:
    """The parent of a page of a data source."""
    ids = {"data_source_id": str(uuid.UUID(source_id)), "database_id": str(uuid.UUID(database_id))}
    return {"type": "data_source_id", **ids}


def notion_database(database_id: str, sources: dict[str, str]) -> Json:
    """A database with its data sources, names by their ids."""
    page = notion_page("", datetime(2026, 2, 1, tzinfo=UTC))
    shared = (
        "created_time",
        "last_edited_time",
        "in_trash",
        "archived",
        "is_locked",
        "cover",
        "icon",
        "url",
        "public_url",
    )
    return {
        "object": "database", "id": str(uuid.UUID(database_id)), "title": [_notion_text("Tasks")], "description": [],
        "parent": {"type": "workspace", "workspace": True}, "is_inline": False,
        "data_sources": [{"id": str(uuid.UUID(found)), "name": name} for found, name in sources.items()],
        **{name: page[name] for name in shared},
    }  # fmt: skip


def _notion_text(text: str) -> Json:
    plain = dict.fromkeys(("bold", "italic", "strikethrough", "underline", "code"), False)
    return {
        "type": "text", "text": {"content": text, "link": None}, "annotations": {**plain, "color": "default"},
        "plain_text": text, "href": None,
    }  # fmt: skip


def hubspot_record(record_id: str, at: datetime, properties: dict[str, str | None]) -> Json:
    """A record that was made and changed at a time."""
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": record_id,
        "properties": properties,
        "createdAt": text,
        "updatedAt": text,
        "archived": False,
    }


def airtable_record(record_id: str, at: datetime, fields: Json) -> Json:
    """A record of a table."""
    return {"id": record_id, "createdTime": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "fields": fields}


def slack_message(text: str, **more: Any) -> Json:
    """A message as Slack gives it back."""
    return {"type": "message", "user": "U0BOT", "bot_id": "B0BOT", "app_id": "A1", "team": "T1", "ts": "1503435956.000247",
            "text": text, **more}  # fmt: skip
