"""Names as people and older scripts write them, and what they certainly mean. What is not certain is never run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import InvalidInput

Given = Mapping[str, Any]
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
"""An app's plain name → the apps that the broker has for it. Declaring the plain name covers all of them."""
_FORM = re.compile(r"[a-z0-9_]{1,100}")
_ACTION = re.compile(r"[a-z0-9_./-]{1,200}")


@dataclass(frozen=True, slots=True)
class Alias:
    """An action by another name: its key, and how what was given is written there."""

    key: str
    props: Callable[[Given], dict[str, Any]] = dict


def _contact(given: Given) -> dict[str, Any]:
    spelled = {"firstName": "firstname", "lastName": "lastname"}
    found = {spelled.get(name, name): value for name, value in given.items()}
    return {"objectProperties": found, "updateIfExists": False}


ALIASES: Mapping[tuple[str, str], Alias] = {
    ("slack", "send-message"): Alias("slack_v2-post-message"),
    ("hubspot", "create-contact"): Alias("hubspot-create-or-update-contact", _contact),
    ("google_sheets", "append-rows"): Alias("google_sheets-add-rows"),
}
"""(app, name) → what it is at the broker, where the fields are known to mean the same."""


def app_name(text: str) -> str:
    """An app's slug as it was typed: `Google Sheets`, `google-sheets`. "" for what cannot be one."""
    bare = re.sub(r"[\s-]+", "_", text.strip().lower())
    if _FORM.fullmatch(bare):
        return bare
    return ""


def app_of(text: str) -> str:
    """The same. Raises InvalidInput for what cannot be one."""
    slug = app_name(text)
    if not slug:
        raise InvalidInput(
            "That is no name of an app.", hint="search_integrations finds it, as in google_sheets."
        )
    return slug


def action_name(text: str) -> str:
    """An action's name or key as it was typed. "" for what cannot be one."""
    bare = re.sub(r"\s+", "-", text.strip().lower())
    if _ACTION.fullmatch(bare):
        return bare
    return ""


def family(app: str) -> tuple[str, ...]:
    """The apps that this one's name stands for, itself among them."""
    return tuple(dict.fromkeys((*FAMILIES.get(app, ()), app)))


def plain(app: str) -> str:
    """The plain name of an app, by which it is known without a broker."""
    return next((name for name, slugs in FAMILIES.items() if app in slugs), app)


def covers(declared: str, app: str) -> bool:
    """Whether a connection that is declared by this name is one of the app."""
    return app in family(declared) or declared in family(app)


def candidates(app: str, name: str) -> list[str]:
    """Keys that this name may be, the likeliest first."""
    slugs = dict.fromkeys((app, *family(app)))
    if any(name.startswith(f"{slug}-") for slug in slugs):
        whole = [name]
    else:
        whole = []
    plain = name.replace("_", "-")
    return [*whole, *(f"{slug}-{plain}" for slug in slugs)]


def nearest(name: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Keys that are written nearly so, or share words, the nearest first."""
    asked = set(re.split(r"[-_/]", name))

    def near(key: str) -> float:
        shared = len(asked & set(re.split(r"[-_/]", key)))
        return difflib.SequenceMatcher(None, name, key).ratio() + 0.3 * shared

    return sorted(known, key=lambda key: (-near(key), key))[:count]
