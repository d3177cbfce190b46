"""Remedies of errors as routes."""

from __future__ import annotations

from typing import Final

from codewords_mcp.errors.remedies import NEUTRAL_WORDS, RemedyAction

CONSOLE_WORDS: Final[dict[RemedyAction, str]] = NEUTRAL_WORDS | {
    RemedyAction.CHANGE_BUDGETS: "Usage shows the budgets; an admin changes them there.",
    RemedyAction.DIAGNOSE: "Settings says what works here and what does not.",
    RemedyAction.NAME_WORKFLOW: "Edit that workflow for a new version of it, or give this one another name.",
    RemedyAction.SHOW_WORKFLOW: "The workflow's page shows its routes, their input and its versions.",
    RemedyAction.SIGN_IN: "Sign in again.",
}
"""Remedies for a person who reads the console: no route, no tool and no field of a request."""

WORDS: Final[dict[RemedyAction, str]] = {
    RemedyAction.ADD_PACKAGE: (
        "`uvx --from 'codewords-mcp[{extra}]' codewords-mcp` has it;"
        " `pip install '{package}'` beside codewords-mcp adds it."
    ),
    RemedyAction.ADD_TEST: "PUT /recordings/RUN/test adds one: {runs}.",
    RemedyAction.APPLY_DRY_RUN: "GET /runs/{run}/writes lists them as they are now, POST /runs/{run}/apply asks "
    "again.",
    RemedyAction.BUILD_E2B_TEMPLATE: "The operator builds the E2B template: `codewords e2b build-template`.",
    RemedyAction.CHANGE_BUDGETS: "GET /budgets lists budgets, PUT /budgets/SCOPE changes one.",
    RemedyAction.CHANGE_QUOTA: "GET /quotas shows it; an owner of the home raises it by PUT /quotas/{owner}.",
    RemedyAction.CHANGE_MODELS: "The key's list and `models` under [tool.codewords] in the header name them.",
    RemedyAction.CONNECT_INTEGRATION: "POST /integrations/{app}/connect gives the page to connect it.",
    RemedyAction.CREATE_KEY: "`codewords keys create` or POST /keys makes one.",
    RemedyAction.CREATE_ONE_TIME_KEY: 'POST /keys with "one_time" makes a new one.',
    RemedyAction.CREATE_SCOPED_KEY: 'POST /keys with "{scope}" among its scopes makes one with it.',
    RemedyAction.DELETE_DRAFT: "GET /drafts lists yours, DELETE /drafts/ID deletes one.",
    RemedyAction.DELETE_SECRET: "DELETE /secrets/{name} deletes it.",
    RemedyAction.DEPLOY_DRAFT: "POST /deploy with this `draft_id` makes it live.",
    RemedyAction.DIAGNOSE: "GET /status says what works here and what does not.",
    RemedyAction.FIND_INTEGRATION: "GET /integrations finds existing names.",
    RemedyAction.INSTALL_SERVICE: "As a service of its machine it starts with the session: `codewords-mcp service install`.",
    RemedyAction.LIST_AGREEMENTS: "GET /agreements lists them.",
    RemedyAction.LIST_ALERTS: "GET /alerts lists them.",
    RemedyAction.LIST_BUDGETS: "GET /budgets lists them.",
    RemedyAction.LIST_CONNECTIONS: "GET /connections lists them.",
    RemedyAction.LIST_DELIVERIES: "GET /webhooks/deliveries lists yours.",
    RemedyAction.LIST_DRAFTS: "GET /drafts lists yours.",
    RemedyAction.LIST_FIELD_VALUES: "POST /integrations/{app}/describe lists the values of `{field}`.",
    RemedyAction.LIST_KEYS: "GET /keys lists them.",
    RemedyAction.LIST_PUBLISHED: "GET /published lists them.",
    RemedyAction.LIST_RECORDINGS: "GET /recordings lists those that there are.",
    RemedyAction.LIST_RUNS: "GET /runs lists your runs.",
    RemedyAction.LIST_SCHEDULES: "GET /schedules lists yours.",
    RemedyAction.LIST_SECRETS: "GET /secrets lists yours.",
    RemedyAction.LIST_SERVICES: "GET /services lists them.",
    RemedyAction.LIST_TEMPLATES: "GET /templates lists them.",
    RemedyAction.LIST_WEBHOOKS: "GET /webhooks lists yours.",
    RemedyAction.LIST_TRIGGERS: "GET /triggers lists yours.",
    RemedyAction.LIST_WORKFLOWS: "GET /workflows lists your workflows.",
    RemedyAction.NAME_WORKFLOW: NEUTRAL_WORDS[RemedyAction.NAME_WORKFLOW],
    RemedyAction.PAIR_BROWSER: "`codewords browser pair` pairs it.",
    RemedyAction.REMOVE_TEST: "DELETE /recordings/{run}/test makes it an ordinary recording again.",
    RemedyAction.REMOVE_TESTS: "GET /workflows/{workflow}/tests lists them, DELETE /recordings/RUN/test removes one.",
    RemedyAction.REPLACE_SCHEDULE: "Make it anew; DELETE /schedules/{schedule} deletes this one.",
    RemedyAction.RESTORE_BACKUP: "`codewords restore` makes a home of a backup.",
    RemedyAction.RESUME_RUN: "GET /runs/{run}/resume lists them; POST with an answer for each goes on.",
    RemedyAction.RUN_DRY: "POST /run/WORKFLOW with the header `Codewords-Dry-Run: yes` makes one.",
    RemedyAction.RUN_IN_BACKGROUND: "POST /run_async runs it in the background, for longer work.",
    RemedyAction.SET_ANY_SECRET: "Set one of the secrets {names}: PUT /secrets/NAME.",
    RemedyAction.SET_HOST_RULE: "PUT /secrets/{name} with {host} among its hosts sets it with another rule.",
    RemedyAction.SET_SECRET: "Set the secret {name}: PUT /secrets/{name}.",
    RemedyAction.SET_SECRETS: "Set the secrets {names}: PUT /secrets/NAME.",
    RemedyAction.SHOW_WORKFLOW: "GET /workflows/{workflow} lists its routes, their input and its versions.",
    RemedyAction.SIGN_IN: "`codewords open` in a terminal signs you in.",
    RemedyAction.STOP_RUNTIME: "Stop the runtime.",
}
