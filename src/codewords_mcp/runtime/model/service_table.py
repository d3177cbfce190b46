"""The built-in services and their operations. Generated from `services/`: `python docs/reference/generate.py`."""

from __future__ import annotations

from typing import Final, Literal

Change = Literal["", "writes", "may write"]
"""Whether a call changes or sends something: never, always, or depending on its input."""

SERVICES: Final[dict[str, str]] = {
    "approvals": "",
    "chrome_extension": "",
    "database": "",
    "files": "",
    "firecrawl": "your FIRECRAWL_API_KEY",
    "github": "your GITHUB_TOKEN",
    "hunter": "your HUNTER_API_KEY",
    "mcp": "the MCP servers that you connected",
    "pipedream": "the accounts that you connected",
    "reddit": "your REDDIT_CLIENT_ID",
    "redis_coordinator": "your REDIS_URL",
    "schedule_runs": "",
    "searchapi": "your SEARCHAPI_API_KEY",
    "send_email": "your SMTP_URL",
    "slack_trigger": "your SLACK_BOT_TOKEN",
    "user_login": "your SMTP_URL",
    "wait": "",
    "web_automation_agent": "your key of a model provider",
    "webpage_to_markdown": "",
    "whatsapp_trigger": "your WHATSAPP_ACCESS_TOKEN",
}
"""Each a module of its name in `services/`, with the credential that it acts with, if any."""

OPERATIONS: Final[dict[str, tuple[tuple[str, tuple[str, ...], Change], ...]]] = {
    "database": (
        ("execute", ("", "execute"), "writes"),
        ("query", ("query",), ""),
        ("tables", ("tables",), ""),
    ),
    "files": (
        ("upload", ("upload",), "writes"),
        ("list", ("list", ""), ""),
        ("read", ("read",), ""),
        ("link", ("link",), ""),
        ("delete", ("delete",), "writes"),
    ),
    "firecrawl": (
        ("scrape", ("", "scrape", "v1/scrape", "v2/scrape"), "may write"),
        ("map", ("map", "v1/map", "v2/map"), ""),
        ("v1/*", ("v1/*", "v2/*"), "writes"),
    ),
    "github": (
        ("search_profiles", ("search_profiles", "search_users"), ""),
        ("search_repositories", ("search_repositories",), ""),
        ("search_code", ("search_code",), ""),
        ("search_issues", ("search_issues",), ""),
        ("repository", ("repository", "get_repository"), ""),
        ("readme", ("readme", "get_readme"), ""),
        ("user", ("user", "get_user"), ""),
    ),
    "hunter": (
        ("domain_search", ("domain_search", "domain-search"), ""),
        ("find_email", ("find_email", "email-finder", "email_finder"), ""),
        ("verify_email", ("verify_email", "email-verifier", "email_verifier"), ""),
        ("count", ("count", "email-count"), ""),
        ("account", ("account",), ""),
    ),
    "mcp": (("call", ("call", ""), "writes"), ("tools", ("tools",), "")),
    "reddit": (
        ("posts", ("posts", "get_posts", "subreddit"), ""),
        ("search", ("search", "search_posts"), ""),
        ("comments", ("comments", "get_comments"), ""),
    ),
    "send_email": (("send", ("", "send"), "writes"), ("outbox", ("outbox",), "")),
    "slack_trigger": (
        ("register", ("register",), "writes"),
        ("registrations", ("registrations",), ""),
        ("unregister", ("unregister",), "writes"),
        ("send_message", ("send_message", "send"), "writes"),
        ("simulate", ("simulate",), "writes"),
    ),
    "user_login": (
        ("start", ("start",), "writes"),
        ("verify", ("verify",), "writes"),
        ("me", ("me",), ""),
        ("logout", ("logout",), "writes"),
    ),
    "whatsapp_trigger": (
        ("register", ("register",), "writes"),
        ("registrations", ("registrations",), ""),
        ("unregister", ("unregister",), "writes"),
        ("send_message", ("send_message", "send"), "writes"),
        ("simulate", ("simulate",), "writes"),
    ),
}
"""Of services with several: (name, the paths that call it, its effect)."""

READING_SERVICES: Final = frozenset(("searchapi", "wait", "webpage_to_markdown"))
"""Services of one operation, which reads."""

READING_INPUTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "firecrawl: scrape": (
        (),
        (),
        (
            "blockAds",
            "excludeTags",
            "formats",
            "includeTags",
            "location",
            "maxAge",
            "mobile",
            "onlyMainContent",
            "only_main_content",
            "parsers",
            "proxy",
            "removeBase64Images",
            "skipTlsVerification",
            "storeInCache",
            "timeout",
            "url",
            "waitFor",
        ),
    ),
    "pipedream": (
        ("operation",),
        (
            "actions",
            "describe_action",
            "get_options",
            "list_accounts",
            "list_actions",
            "options",
            "reload_props",
            "schema",
            "search",
            "search_apps",
        ),
        (),
    ),
    "redis_coordinator": (
        ("action", "operation"),
        (
            "exists",
            "get",
            "hexists",
            "hget",
            "hgetall",
            "hkeys",
            "hlen",
            "hmget",
            "hvals",
            "keys",
            "lindex",
            "llen",
            "lrange",
            "scan",
            "scard",
            "sismember",
            "smembers",
            "ttl",
            "type",
            "zcard",
            "zcount",
            "zrange",
            "zrangebyscore",
            "zrank",
            "zrevrange",
            "zrevrangebyscore",
            "zrevrank",
            "zscore",
        ),
        (),
    ),
    "schedule_runs": (("operation",), ("get", "list"), ()),
}
"""Inputs with which an operation that may write only reads: (names of a field, its values, all fields that it may have)."""
