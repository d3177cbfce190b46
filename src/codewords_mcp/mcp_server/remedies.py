"""Remedies of errors as tool calls; as commands where no tool exists."""

from __future__ import annotations

from typing import Final

from codewords_mcp.errors.remedies import Remedy, RemedyAction, reword

WORDS: Final[dict[RemedyAction, str]] = {
    RemedyAction.ADD_PACKAGE: (
        "The user starts codewords-mcp with it, uvx --from 'codewords-mcp[{extra}]' codewords-mcp,"
        " or installs it beside codewords-mcp: pip install '{package}'."
    ),
    RemedyAction.ADD_TEST: "The user adds one in a terminal: `codewords test --add {runs}`.",
    RemedyAction.APPLY_DRY_RUN: 'run_workflow with apply="{run}" shows the list as it is now, and asks the user '
    "again.",
    RemedyAction.BUILD_E2B_TEMPLATE: "The user builds it in a terminal: `codewords e2b build-template`.",
    RemedyAction.CHANGE_BUDGETS: "The user can raise it in a terminal: `codewords budgets`.",
    RemedyAction.CHANGE_QUOTA: "An owner of the home can raise it in a terminal: `codewords quotas set {owner}`.",
    RemedyAction.CHANGE_MODELS: "The key's list and `models` under [tool.codewords] in the header name them.",
    RemedyAction.CONNECT_INTEGRATION: 'connect_integration(app="{app}") lets the user connect it.',
    RemedyAction.CREATE_KEY: "The user makes one in a terminal: `codewords keys create`.",
    RemedyAction.CREATE_ONE_TIME_KEY: "The user makes a new one in a terminal: `codewords keys create --one-time`.",
    RemedyAction.CREATE_SCOPED_KEY: "The user makes one with it in a terminal: `codewords keys create --scope …,{scope}`.",
    RemedyAction.DELETE_DRAFT: "list_workflows shows yours, delete_workflow deletes one.",
    RemedyAction.DELETE_SECRET: 'delete_secret(name="{name}") deletes it.',
    RemedyAction.DEPLOY_DRAFT: 'try_draft(draft_id="{draft}", input=…) tries it, deploy_workflow(draft_id="{draft}") '
    "makes it live.",
    RemedyAction.DIAGNOSE: "The user sees what works here in a terminal: `codewords doctor`.",
    RemedyAction.FIND_INTEGRATION: "search_integrations finds existing names.",
    RemedyAction.INSTALL_SERVICE: "`codewords-mcp service install` in a terminal starts it with the user's session.",
    RemedyAction.LIST_AGREEMENTS: "`codewords agreements list` shows them.",
    RemedyAction.LIST_ALERTS: "`codewords alerts list` shows them.",
    RemedyAction.LIST_BUDGETS: "`codewords budgets list` shows them.",
    RemedyAction.LIST_CONNECTIONS: "`codewords connections` shows them.",
    RemedyAction.LIST_DELIVERIES: "`codewords webhooks deliveries` shows yours.",
    RemedyAction.LIST_DRAFTS: "list_workflows shows yours.",
    RemedyAction.LIST_FIELD_VALUES: 'get_integration(app="{app}", action="{action}", prop="{field}") '
    "lists the values of `{field}`.",
    RemedyAction.LIST_KEYS: "`codewords keys list` shows them.",
    RemedyAction.LIST_PUBLISHED: "tools/list lists them.",
    RemedyAction.LIST_RECORDINGS: "The user sees those that there are in a terminal: `codewords recordings list`.",
    RemedyAction.LIST_RUNS: "get_workflow shows the last runs of a workflow.",
    RemedyAction.LIST_SCHEDULES: "list_triggers shows yours.",
    RemedyAction.LIST_SECRETS: "list_secrets shows yours.",
    RemedyAction.LIST_SERVICES: 'read_practice(topic="services") lists them.',
    RemedyAction.LIST_TEMPLATES: "list_templates shows them.",
    RemedyAction.LIST_WEBHOOKS: "list_triggers shows yours.",
    RemedyAction.LIST_TRIGGERS: "list_triggers shows yours.",
    RemedyAction.LIST_WORKFLOWS: "list_workflows shows your workflows.",
    RemedyAction.NAME_WORKFLOW: 'For a new version of it, name it: `workflow_id` "{workflow}". '
    "For a workflow of its own, give another `name`.",
    RemedyAction.PAIR_BROWSER: "The user pairs it in a terminal: `codewords browser pair`.",
    RemedyAction.REMOVE_TEST: "The user makes it an ordinary recording again in a terminal: `codewords test "
    "--remove {run}`.",
    RemedyAction.REMOVE_TESTS: "The user removes some in a terminal: `codewords test {workflow} --list` shows "
    "them, `codewords test --remove` takes their runs.",
    RemedyAction.REPLACE_SCHEDULE: "Make it anew with add_trigger; change_trigger deletes {schedule}.",
    RemedyAction.RESTORE_BACKUP: "The user restores a backup in a terminal: `codewords restore`.",
    RemedyAction.RESUME_RUN: "The user then answers in a terminal: `codewords runs resume {run}` lists what is asked, and goes "
    "on.",
    RemedyAction.RUN_DRY: "run_workflow with dry_run=true makes one.",
    RemedyAction.RUN_IN_BACKGROUND: "run_workflow with wait_seconds=0 runs it in the background, for longer work.",
    RemedyAction.SET_ANY_SECRET: "set_secret lets the user set one of {names}.",
    RemedyAction.SET_HOST_RULE: 'set_secret(name="{name}", hosts=["{host}"]) lets the user set it with another rule.',
    RemedyAction.SET_SECRET: 'set_secret(name="{name}") lets the user set it.',
    RemedyAction.SET_SECRETS: "set_secret lets the user set {names}, one at a time.",
    RemedyAction.SHOW_WORKFLOW: 'get_workflow(workflow_id="{workflow}") lists its routes, their input and its versions.',
    RemedyAction.SIGN_IN: "The user signs in with `codewords open` in a terminal.",
    RemedyAction.STOP_RUNTIME: "The user stops the runtime in a terminal: `codewords stop`.",
}


def worded(text: str, remedy: Remedy | None) -> str:
    """Replace the words of a remedy in a text by tool calls."""
    if remedy is None:
        return text
    return reword(text, remedy.to_dict(), WORDS)[0]
