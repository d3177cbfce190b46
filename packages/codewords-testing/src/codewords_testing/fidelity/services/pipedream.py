"""Pipedream Connect, by the models of Pipedream's own SDK. Its licence allows no copy, so a test suite provides them."""

from __future__ import annotations

from codewords_testing.fidelity.operation import BINARY, ApiOperation, DescribedService, DescriptionSource
from codewords_testing.fidelity.shapes import SchemaShape, Undescribed

_PROJECT = "/v1/connect/[^/]+"
_COMPONENTS = f"{_PROJECT}/(?:actions|components)"
_ROWS = (
    ("apps.list", "GET", "/v1/connect/apps", "ListAppsResponse"),
    ("apps.retrieve", "GET", "/v1/connect/apps/[^/]+", "GetAppResponse"),
    ("tokens.create", "POST", f"{_PROJECT}/tokens", "CreateTokenResponse"),
    ("accounts.list", "GET", f"{_PROJECT}/accounts", "ListAccountsResponse"),
    ("accounts.retrieve", "GET", f"{_PROJECT}/accounts/[^/]+", "Account"),
    ("actions.list", "GET", _COMPONENTS, "GetComponentsResponse"),
    ("actions.configure_prop", "POST", f"{_COMPONENTS}/configure", "ConfigurePropResponse"),
    ("actions.reload_props", "POST", f"{_COMPONENTS}/props", "ReloadPropsResponse"),
    ("actions.run", "POST", f"{_PROJECT}/actions/run", "RunActionResponse"),
    ("actions.retrieve", "GET", f"{_COMPONENTS}/[^/]+", "GetComponentResponse"),
    ("triggers.list", "GET", f"{_PROJECT}/triggers", "GetComponentsResponse"),
    ("triggers.deploy", "POST", f"{_PROJECT}/triggers/deploy", "DeployTriggerResponse"),
    ("triggers.retrieve", "GET", f"{_PROJECT}/triggers/[^/]+", "GetComponentResponse"),
    ("deployed_triggers.list", "GET", f"{_PROJECT}/deployed-triggers", "GetTriggersResponse"),
    ("deployed_triggers.retrieve", "GET|PUT", f"{_PROJECT}/deployed-triggers/[^/]+", "GetTriggerResponse"),
    ("deployed_triggers.list_events", "GET", f"{_PROJECT}/deployed-triggers/[^/]+/events", "GetTriggerEventsResponse"),
    ("deployed_triggers.webhooks", "GET|PUT", f"{_PROJECT}/deployed-triggers/[^/]+/webhooks", "GetTriggerWebhooksResponse"),
)  # fmt: skip
MODELS = tuple(dict.fromkeys(row[-1] for row in _ROWS))
"""Names of the SDK's models that the description has to define."""
PIPEDREAM = DescribedService(
    "pipedream",
    "Pipedream Connect",
    DescriptionSource("pipedream", "2.3.0", "2026-10", "not free: used as an oracle of the tests only"),
    (
        ApiOperation("oauth.token", "POST", "/v1/oauth/token", SchemaShape("written", "OAuthToken")),
        *(
            ApiOperation(name, method, path, SchemaShape("pipedream", model))
            for name, method, path, model in _ROWS
        ),
        ApiOperation(
            "deletion", "DELETE", f"{_PROJECT}/(?:accounts|deployed-triggers)/[^/]+", BINARY, statuses=(204,)
        ),
        ApiOperation("page", "GET|POST", "/_static/connect.html", BINARY, statuses=(200, 303)),
    ),
    Undescribed("the SDK has no model of errors"),
    "the models of Pipedream's own SDK: every field and its type; an unknown field is refused, and each required field is there",
    "Bodies of errors, the page on which a person connects an account, and events that it emits are not described.",
)
SERVICES = (PIPEDREAM,)
