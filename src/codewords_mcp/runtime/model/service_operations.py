"""Operations of library services by name, for modules that must not import the services themselves.

`services/` implements the operations; a test compares this table with them. A manifest names one as
`github: search_code`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

Change = Literal["", "writes", "may write"]
"""Whether a call changes or sends something: never, always, or depending on its input."""


class ServiceOperation(NamedTuple):
    """One operation: the paths that call it, and its effect. The first path is its name."""

    name: str
    paths: tuple[str, ...]
    change: Change = ""


def operation_name(paths: tuple[str, ...]) -> str:
    """The name of the operation with these paths: the first that is not empty, else "call"."""
    return next((path for path in paths if path), "call")


def _operation(*paths: str, change: Change = "") -> ServiceOperation:
    return ServiceOperation(operation_name(paths), paths, change)


_TRIGGER: Final = (
    _operation("register", change="writes"),
    _operation("registrations"),
    _operation("unregister", change="writes"),
    _operation("send_message", "send", change="writes"),
    _operation("simulate", change="writes"),
)

SERVICES: Final[dict[str, str]] = {
    "chrome_extension": "",
    "files": "",
    "firecrawl": "your FIRECRAWL_API_KEY",
    "github": "your GITHUB_TOKEN",
    "hunter": "your HUNTER_API_KEY",
    "pipedream": "the accounts that you connected",
    "reddit": "your REDDIT_CLIENT_ID",
    "redis_coordinator": "your REDIS_URL",
    "schedule_runs": "",
    "searchapi": "your SEARCHAPI_API_KEY",
    "send_email": "your SMTP_URL",
    "slack_trigger": "your SLACK_BOT_TOKEN",
    "user_login": "your SMTP_URL",
    "web_automation_agent": "your key of a model provider",
    "webpage_to_markdown": "",
    "whatsapp_trigger": "your WHATSAPP_ACCESS_TOKEN",
}
"""The built-in services, each a module of its name in `services/`, with the credential that it acts with, if any."""

OPERATIONS: Final[dict[str, tuple[ServiceOperation, ...]]] = {
    "files": (
        _operation("upload", change="writes"),
        _operation("list", ""),
        _operation("read"),
        _operation("link"),
        _operation("delete", change="writes"),
    ),
    "firecrawl": (
        _operation("", "scrape", "v1/scrape", "v2/scrape", change="may write"),
        _operation("map", "v1/map", "v2/map"),
        _operation("v1/*", "v2/*", change="writes"),
    ),
    "github": (
        _operation("search_profiles", "search_users"),
        _operation("search_repositories"),
        _operation("search_code"),
        _operation("search_issues"),
        _operation("repository", "get_repository"),
        _operation("readme", "get_readme"),
        _operation("user", "get_user"),
    ),
    "hunter": (
        _operation("domain_search", "domain-search"),
        _operation("find_email", "email-finder", "email_finder"),
        _operation("verify_email", "email-verifier", "email_verifier"),
        _operation("count", "email-count"),
        _operation("account"),
    ),
    "reddit": (
        _operation("posts", "get_posts", "subreddit"),
        _operation("search", "search_posts"),
        _operation("comments", "get_comments"),
    ),
    "send_email": (_operation("", "send", change="writes"), _operation("outbox")),
    "slack_trigger": _TRIGGER,
    "user_login": (
        _operation("start", change="writes"),
        _operation("verify", change="writes"),
        _operation("me"),
        _operation("logout", change="writes"),
    ),
    "whatsapp_trigger": _TRIGGER,
}
"""Services with several operations. A service with a single one is named as a whole."""


def item_of(service: str, operation: str) -> str:
    """The manifest's item for one operation of a service."""
    return f"{service}: {operation}"


def service_of(item: str) -> str:
    """The service of a manifest's item. An item is a service or one operation of it."""
    return item.partition(":")[0]


def declared_item(item: str) -> str | None:
    """The item for `service: operation` as a header writes it, aliases included. None if there is
    no such operation.
    """
    service, colon, path = item.partition(":")
    if colon:
        operation = find_operation(service, path.strip())
    else:
        operation = None
    if operation:
        return item_of(service, operation.name)
    return None


def find_operation(service: str, path: str) -> ServiceOperation | None:
    """The operation called by a whole path, as a program writes it: with slashes, query and
    escapes.
    """
    bare = _bare(path)
    operations = OPERATIONS.get(service, ())
    exact = (operation for operation in operations if bare in operation.paths)
    below = (operation for operation in operations if any(map(bare.startswith, _prefixes(operation))))
    return next(exact, None) or next(below, None)


def find_by_beginning(service: str, beginning: str) -> ServiceOperation | None:
    """The operation called by every path with this beginning. None if several are possible."""
    if beginning.partition("?")[0].partition("#")[0] != beginning:
        return find_operation(service, beginning)
    bare = unquote(beginning).lstrip("/")
    operations = OPERATIONS.get(service, ())
    if any(path.startswith(bare) for operation in operations for path in operation.paths):
        return None
    return next(
        (operation for operation in operations if any(map(bare.startswith, _prefixes(operation)))), None
    )


def change_of(item: str) -> Change:
    """The effect of an operation, or the strongest effect of a service's operations."""
    service, _, name = item.partition(": ")
    changes = {operation.change for operation in OPERATIONS.get(service, ()) if name in {"", operation.name}}

    if "writes" in changes:
        return "writes"
    if "may write" in changes:
        return "may write"
    return ""


def _bare(path: str) -> str:
    return unquote(path.partition("?")[0].partition("#")[0]).strip("/")


def _prefixes(operation: ServiceOperation) -> list[str]:
    return [path[:-1] for path in operation.paths if path.endswith("*")]
