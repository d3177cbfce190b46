"""A small project: apps and actions as Connect lists them, in its own shapes, and what they take and tell."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def _app(slug: str, name: str, auth: str = "oauth", *categories: str) -> Json:
    return {
        "id": f"app_{slug.replace('_', '')[:10]}",
        "name_slug": slug,
        "name": name,
        "auth_type": auth,
        "description": f"{name}, in our own words.",
        "img_src": "https://example.org/logo.png",
        "scope_profiles": [],
        "custom_fields_json": "[]",
        "categories": list(categories),
        "featured_weight": 1000,
    }


APPS = [
    _app("airtable_oauth", "Airtable", "oauth", "Databases"),
    _app("discord", "Discord Webhook", "keys", "Communication"),
    _app("discord_bot", "Discord", "keys", "Communication"),
    _app("github", "GitHub", "oauth", "Developer Tools"),
    _app("google_calendar", "Google Calendar", "oauth", "Productivity"),
    _app("google_sheets", "Google Sheets", "oauth", "Productivity"),
    _app("hubspot", "HubSpot", "oauth", "CRM"),
    _app("openweather", "OpenWeather", "none", "Weather"),
    _app("slack", "Slack (earlier)", "oauth", "Communication"),
    _app("slack_v2", "Slack", "oauth", "Communication"),
    _app("stripe", "Stripe", "keys", "Payments"),
]


def prop(name: str, kind: str = "string", **more: Any) -> Json:
    """One configurable prop."""
    return {"name": name, "type": kind, "label": name, **more}


def _action(
    key: str, app: str, *props: Json, app_prop: str = "", version: str = "0.0.1", **more: Any
) -> Json:
    own = {"name": app_prop or app, "type": "app", "app": app}
    words = key.removeprefix(f"{app}-").replace("-", " ")
    return {
        "key": key,
        "name": words.title(),
        "version": version,
        "description": f"{words.capitalize()}, in our own words.",
        "component_type": "action",
        "configurable_props": [own, *props],
        **more,
    }


_READS = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": True, "idempotentHint": True}
ACTIONS = [
    _action("airtable_oauth-list-records", "airtable_oauth", prop("baseId", remoteOptions=True), app_prop="airtable"),
    _action("discord-send-message", "discord", prop("message"), app_prop="app"),
    _action("discord_bot-send-message", "discord_bot", prop("channelId"), prop("message"), app_prop="discord"),
    _action(
        "github-create-issue", "github",
        prop("repoFullname", remoteOptions=True), prop("title"), prop("body", optional=True),
    ),
    _action("github-search-issues-and-pull-requests", "github", prop("query"), annotations=_READS),
    _action("google_calendar-list-events", "google_calendar", prop("calendarId", default="primary"), app_prop="googleCalendar"),
    _action(
        "google_sheets-add-single-row", "google_sheets",
        prop("sheetId", remoteOptions=True, withLabel=True), prop("hasHeaders", options=["Yes", "No"], reloadProps=True),
        app_prop="googleSheets", version="2.1.2",
    ),
    _action(
        "hubspot-create-or-update-contact", "hubspot", prop("objectProperties", "object"), prop("updateIfExists", "boolean"),
        version="1.0.1",
    ),
    _action("hubspot-search-crm", "hubspot", prop("objectType", remoteOptions=True), annotations=_READS),
    _action("openweather-get-weather", "openweather", prop("city"), annotations=_READS),
    _action("slack-send-message-to-channel", "slack", prop("conversation", remoteOptions=True), prop("text")),
    _action("slack_v2-list-channels", "slack_v2", prop("limit", "integer", optional=True), app_prop="slack", annotations=_READS),
    _action("slack_v2-post-message", "slack_v2", prop("channel"), prop("text"), app_prop="slack", version="0.0.2"),
    _action("stripe-create-customer", "stripe", prop("email"), prop("name", optional=True), app_prop="app"),
    _action("stripe-create-refund", "stripe", prop("charge"), prop("amount", "integer", optional=True), app_prop="app"),
]  # fmt: skip


def _event(key: str, app: str, *props: Json, version: str = "0.0.1") -> Json:
    """An event trigger, with the fields that Connect fills by itself."""
    own = [prop("db", "$.service.db"), prop("timer", "$.interface.timer", default={"intervalSeconds": 900})]
    made = _action(key, app, *props, *own, version=version)
    return made | {"component_type": "trigger"}


TRIGGERS = [
    _event("github-new-issue", "github", prop("repoFullname", remoteOptions=True), prop("labels", "string[]", optional=True)),
    _event("github-new-release", "github", prop("repoFullname", remoteOptions=True)),
    _event("hubspot-new-deal", "hubspot", prop("pipeline", optional=True), version="0.0.7"),
]  # fmt: skip
OPTIONS: dict[tuple[str, str], list[Json]] = {
    ("google_sheets-add-single-row", "sheetId"): [
        {"label": "Orders", "value": "sheet-1"},
        {"label": "Customers", "value": "sheet-2"},
    ],
    ("github-create-issue", "repoFullname"): [{"label": "ann/tools", "value": "ann/tools"}],
    ("slack-send-message-to-channel", "conversation"): [{"label": "#general", "value": "C1"}],
}
DYNAMIC: dict[tuple[str, str, str], list[Json]] = {
    ("google_sheets-add-single-row", "hasHeaders", "Yes"): [
        prop("col_name"),
        prop("col_amount", optional=True),
    ],
    ("google_sheets-add-single-row", "hasHeaders", "No"): [prop("myColumnData", "string[]")],
}
"""(action, prop, its value) → the props that it brings."""
