"""Names of apps and actions as people and older scripts write them, and the exact names they stand
for.

A name that is ambiguous is never run.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import InvalidInput

Params = Mapping[str, Any]
READING_WORDS = frozenset(
    {"get", "list", "search", "find", "fetch", "read", "query", "retrieve", "lookup", "count", "download", "check", "watch",
     "export", "verify", "validate", "describe", "select"}
)  # fmt: skip
"""First words of an integration's actions that change nothing."""
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "slack": ("slack_v2", "slack"),
    "airtable": ("airtable_oauth", "airtable"),
    "salesforce": ("salesforce_rest_api",),
    "telegram": ("telegram_bot_api",),
    "linear": ("linear_app", "linear"),
    "discord": ("discord_bot", "discord"),
    "outlook": ("microsoft_outlook",),
    "teams": ("microsoft_teams",),
    "youtube": ("youtube_data_api",),
    "calendly": ("calendly_v2",),
    "postgres": ("postgresql",),
    "onedrive": ("microsoft_onedrive",),
}
"""An app's plain name → the broker's apps of that name. Declaring the plain name covers all of
them.
"""
_FORM = re.compile(r"[a-z0-9_]{1,100}")
_ACTION = re.compile(r"[a-z0-9_./-]{1,200}")


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of an action: the action's key, and a function that converts its parameters."""

    key: str
    props: Callable[[Params], dict[str, Any]] = dict


def _contact_params(params: Params) -> dict[str, Any]:
    spelled = {"firstName": "firstname", "lastName": "lastname"}
    properties = {spelled.get(name, name): value for name, value in params.items()}
    return {"objectProperties": properties, "updateIfExists": False}


ALIASES: Mapping[tuple[str, str], Alias] = {
    ("slack", "send-message"): Alias("slack_v2-post-message"),
    ("hubspot", "create-contact"): Alias("hubspot-create-or-update-contact", _contact_params),
    ("google_sheets", "append-rows"): Alias("google_sheets-add-rows"),
}
"""(app, name) → the broker's action, for names whose fields are known to mean the same."""


def app_name(text: str) -> str:
    """The slug of an app's name as typed: `Google Sheets`, `google-sheets`. "" if the text can't be
    a slug.
    """
    bare = re.sub(r"[\s-]+", "_", text.strip().lower())
    if _FORM.fullmatch(bare):
        return bare
    return ""


def app_of(text: str) -> str:
    """Like `app_name`. Raises InvalidInput if the text can't be a slug."""
    slug = app_name(text)
    if not slug:
        raise InvalidInput(
            "That is no name of an app.", hint="search_integrations finds it, as in google_sheets."
        )
    return slug


def action_name(text: str) -> str:
    """The normalized name or key of an action. "" if the text can't be one."""
    bare = re.sub(r"\s+", "-", text.strip().lower())
    if _ACTION.fullmatch(bare):
        return bare
    return ""


def family(app: str) -> tuple[str, ...]:
    """All apps that the name stands for, `app` itself included."""
    return tuple(dict.fromkeys((*FAMILIES.get(app, ()), app)))


def plain(app: str) -> str:
    """The plain name of an app, which is independent of the broker."""
    return next((name for name, slugs in FAMILIES.items() if app in slugs), app)


def covers(declared: str, app: str) -> bool:
    """Whether a connection declared by this name is a connection of the app."""
    return app in family(declared) or declared in family(app)


def candidates(app: str, name: str) -> list[str]:
    """Keys that the name may stand for, the likeliest first."""
    slugs = dict.fromkeys((app, *family(app)))
    if any(name.startswith(f"{slug}-") for slug in slugs):
        whole = [name]
    else:
        whole = []
    plain = name.replace("_", "-")
    return [*whole, *(f"{slug}-{plain}" for slug in slugs)]


def nearest(name: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Keys with a similar spelling or shared words, the nearest first."""
    words = set(re.split(r"[-_/]", name))

    def rank(key: str) -> tuple[float, str]:
        shared = len(words & set(re.split(r"[-_/]", key)))
        # Ordered by name where two are as near, so that the same question gets the same answer.
        return -(difflib.SequenceMatcher(None, name, key).ratio() + 0.3 * shared), key

    return sorted(known, key=rank)[:count]
