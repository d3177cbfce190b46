"""Apps that are called without a broker, by what each publishes about its replies."""

from __future__ import annotations

from codewords_testing.fidelity.operation import ApiOperation, DescribedService, described_by
from codewords_testing.fidelity.shapes import Either, SchemaShape, Shape


def _slack(name: str) -> SchemaShape:
    # Slack refuses in an answer of 200, whose fields the same type has.
    return SchemaShape("slack", name)


def _of(file: str, name: str) -> Shape:
    return SchemaShape(file, name)


_VALUES = "/v4/spreadsheets/[^/]+/values"
_CLOSED = "every field and its type; an unknown field is refused"
SLACK = DescribedService(
    "slack",
    "Slack",
    described_by("slack"),
    (
        ApiOperation("chat.postMessage", "POST", "/chat.postMessage", _slack("ChatPostMessage")),
        ApiOperation("chat.update", "POST", "/chat.update", _slack("ChatUpdate")),
        ApiOperation("chat.postEphemeral", "POST", "/chat.postEphemeral", _slack("ChatPostEphemeral")),
        ApiOperation(
            "apps.connections.open", "POST", "/apps.connections.open", _slack("AppsConnectionsOpen")
        ),
        ApiOperation("event_callback", "SEND", "/events", SchemaShape("slack_events", "Envelope")),
        ApiOperation("interaction", "SEND", "/interactions", SchemaShape("slack_events", "Interaction")),
        ApiOperation("socket mode", "SEND", "/socket", SchemaShape("slack_events", "Frame")),
        # Any other method, which Slack answers with `unknown_method`.
        ApiOperation("unknown", "POST", r"/[a-z.A-Z]+", _slack("AppsConnectionsOpen")),
    ),
    _slack("AppsConnectionsOpen"),
    f"the types of Slack's own SDK, which Slack makes from recorded replies: {_CLOSED}",
    "No field of a reply but `ok` is told to be always there. Events and buttons are compared by the types of @slack/bolt "
    "5.1.0 (MIT), the frames of Socket Mode around them by a schema written by hand.",
)
GITHUB = DescribedService(
    "github",
    "GitHub",
    described_by("github"),
    (
        ApiOperation(
            "activity/list-repo-events", "GET", "/repos/[^/]+/[^/]+/events", _of("github", "events")
        ),
        ApiOperation(
            "issues/create", "POST", "/repos/[^/]+/[^/]+/issues", _of("github", "issue"), statuses=(201,)
        ),
    ),
    Either((_of("github", "basic-error"), _of("github", "validation-error"))),
    f"the OpenAPI description: {_CLOSED}, and each required field is there",
)
GOOGLE = DescribedService(
    "google",
    "Google Sheets and Calendar",
    described_by("google"),
    (
        ApiOperation("spreadsheets.values.append", "POST", f"{_VALUES}/[^/]+:append", _of("google", "AppendValuesResponse")),
        ApiOperation(
            "spreadsheets.values.batchUpdate", "POST", f"{_VALUES}:batchUpdate", _of("google", "BatchUpdateValuesResponse")
        ),
        ApiOperation("spreadsheets.values.get", "GET", f"{_VALUES}/[^/]+", _of("google", "ValueRange")),
        ApiOperation("calendar.events.insert", "POST", "/calendar/v3/calendars/[^/]+/events", _of("google", "Event")),
    ),
    _of("google", "Error"),
    f"the discovery documents: {_CLOSED}",
    "The documents say of no field that it is always there.",
)  # fmt: skip
GOOGLE_TOKEN = DescribedService(
    "google_token",
    "Google OAuth",
    None,
    (ApiOperation("token", "POST", "/token", SchemaShape("written", "OAuthToken")),),
    SchemaShape("written", "OAuthError"),
    "the fields of RFC 6749, sections 5.1 and 5.2",
)
AIRTABLE = DescribedService(
    "airtable",
    "Airtable",
    described_by("airtable"),
    (ApiOperation("records", "GET|PATCH", "/v0/[^/]+/[^/]+", _of("airtable", "Records")),),
    _of("airtable", "Error"),
    "records by the types of pyAirtable, which is not Airtable's own; pages and errors by the API reference",
    "Airtable publishes no description for machines.",
)
NOTION = DescribedService(
    "notion",
    "Notion",
    described_by("notion"),
    (
        ApiOperation("databases.get", "GET", "/v1/databases/[^/]+", _of("notion", "GetDatabase")),
        ApiOperation(
            "dataSources.query", "POST", "/v1/data_sources/[^/]+/query", _of("notion", "QueryDataSource")
        ),
        ApiOperation("pages.create", "POST", "/v1/pages", _of("notion", "CreatePage")),
    ),
    SchemaShape("written", "NotionError"),
    f"the types of Notion's own SDK for the API's version 2025-09-03, which the runtime asks for: {_CLOSED}, and each "
    "required field is there",
)
HUBSPOT = DescribedService(
    "hubspot",
    "HubSpot",
    described_by("hubspot"),
    (
        ApiOperation("crm.objects.search", "POST", "/crm/v3/objects/[^/]+/search", _of("hubspot", "Search")),
        ApiOperation(
            "crm.objects.create", "POST", "/crm/v3/objects/[^/]+", _of("hubspot", "Object"), statuses=(201,)
        ),
        ApiOperation("crm.objects.update", "PATCH", "/crm/v3/objects/[^/]+/[^/]+", _of("hubspot", "Object")),
    ),
    _of("hubspot", "Error"),
    f"the models of HubSpot's own SDK, which are made from its OpenAPI description: {_CLOSED}, and each required field is there",
)
SERVICES = (SLACK, GITHUB, GOOGLE, GOOGLE_TOKEN, AIRTABLE, NOTION, HUBSPOT)
