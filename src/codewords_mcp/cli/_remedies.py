"""Remedies of errors as commands."""

from __future__ import annotations

from typing import Any, Final, cast

from codewords_mcp.errors.remedies import RemedyAction, reword

WORDS: Final[dict[RemedyAction, str]] = {
    RemedyAction.ADD_PACKAGE: (
        "`uvx --from 'codewords-mcp[{extra}]' codewords-mcp` has it;"
        " `pip install '{package}'` beside codewords-mcp adds it."
    ),
    RemedyAction.ADD_TEST: "`codewords test --add {runs}` adds one.",
    RemedyAction.APPLY_DRY_RUN: "`codewords runs apply {run}` shows the list as it is now, and asks again.",
    RemedyAction.BUILD_E2B_TEMPLATE: "Run `codewords e2b build-template`.",
    RemedyAction.CHANGE_BUDGETS: "`codewords budgets` shows and changes budgets.",
    RemedyAction.CHANGE_QUOTA: "`codewords quotas list` shows quotas, `codewords quotas set {owner}` raises one.",
    RemedyAction.CHANGE_MODELS: "`codewords keys create --models` and `models` under [tool.codewords] list them.",
    RemedyAction.CONNECT_INTEGRATION: "Connect it with `codewords integrations connect {app}`.",
    RemedyAction.CREATE_KEY: "`codewords keys create` makes one.",
    RemedyAction.CREATE_ONE_TIME_KEY: "`codewords keys create --one-time` makes a new one.",
    RemedyAction.CREATE_SCOPED_KEY: "`codewords keys create --scope …,{scope}` makes one with it.",
    RemedyAction.DELETE_DRAFT: "Delete some: `codewords drafts` shows them, `codewords delete` takes their ids.",
    RemedyAction.DELETE_SECRET: "`codewords secrets delete {name}` deletes it.",
    RemedyAction.DEPLOY_DRAFT: "`codewords deploy --draft {draft}` makes it live.",
    RemedyAction.DIAGNOSE: "`codewords doctor` says what works here and what does not.",
    RemedyAction.FIND_INTEGRATION: "`codewords integrations search` finds existing names.",
    RemedyAction.INSTALL_SERVICE: "`codewords-mcp service install` starts it with your session.",
    RemedyAction.LIST_AGREEMENTS: "`codewords agreements list` shows them.",
    RemedyAction.LIST_ALERTS: "`codewords alerts list` shows them.",
    RemedyAction.LIST_BUDGETS: "`codewords budgets list` shows them.",
    RemedyAction.LIST_CONNECTIONS: "`codewords connections` shows them.",
    RemedyAction.LIST_DELIVERIES: "`codewords webhooks deliveries` shows yours.",
    RemedyAction.LIST_DRAFTS: "`codewords drafts` shows yours.",
    RemedyAction.LIST_FIELD_VALUES: "`codewords integrations show {app} {action} --prop {field}` lists the values of `{field}`.",
    RemedyAction.LIST_KEYS: "`codewords keys list` shows them.",
    RemedyAction.LIST_PUBLISHED: "`codewords published` lists them.",
    RemedyAction.LIST_RECORDINGS: "`codewords recordings list` lists those that there are.",
    RemedyAction.LIST_RUNS: "`codewords runs` shows your runs.",
    RemedyAction.LIST_SCHEDULES: "`codewords schedules list` shows yours.",
    RemedyAction.LIST_SECRETS: "`codewords secrets list` shows yours.",
    RemedyAction.LIST_SERVICES: "`codewords services` shows them.",
    RemedyAction.LIST_TEMPLATES: "`codewords templates` shows them.",
    RemedyAction.LIST_WEBHOOKS: "`codewords webhooks list` shows yours.",
    RemedyAction.LIST_TRIGGERS: "`codewords triggers list` shows yours.",
    RemedyAction.LIST_WORKFLOWS: "`codewords list` shows your workflows.",
    RemedyAction.NAME_WORKFLOW: "--id {workflow} makes it a new version of that workflow; "
    "--name TITLE makes a workflow of its own.",
    RemedyAction.PAIR_BROWSER: "`codewords browser pair` pairs one.",
    RemedyAction.REMOVE_TEST: "`codewords test --remove {run}` makes it an ordinary recording again.",
    RemedyAction.REMOVE_TESTS: "Remove some: `codewords test {workflow} --list` shows them, `codewords test "
    "--remove` takes their runs.",
    RemedyAction.REPLACE_SCHEDULE: "Make it anew: `codewords schedules show {schedule}` shows it, "
    "`codewords schedules delete {schedule}` deletes it.",
    RemedyAction.RESTORE_BACKUP: "`codewords restore` makes a home of a backup.",
    RemedyAction.RESUME_RUN: "`codewords runs resume {run}` lists what is asked, and goes on with your answers.",
    RemedyAction.RUN_DRY: "`codewords run WORKFLOW --dry-run` makes one.",
    RemedyAction.RUN_IN_BACKGROUND: "`codewords run --async` runs it in the background, for longer work.",
    RemedyAction.SET_ANY_SECRET: "`codewords secrets set NAME` sets one of {names}.",
    RemedyAction.SET_HOST_RULE: "`codewords secrets set {name} --host {host}` sets it with another rule.",
    RemedyAction.SET_SECRET: "Set it with `codewords secrets set {name}`.",
    RemedyAction.SET_SECRETS: "Set {names} with `codewords secrets set NAME`.",
    RemedyAction.SHOW_WORKFLOW: "`codewords show {workflow}` lists its routes, their input and its versions.",
    RemedyAction.SIGN_IN: "Run `codewords open`.",
    RemedyAction.STOP_RUNTIME: "`codewords stop` ends the runtime.",
}


def worded(text: str | None, remedy: Any) -> str:
    """Replace the words of a remedy, as a response has it, in a text by commands."""
    if text and isinstance(remedy, dict):
        return reword(text, cast("dict[str, Any]", remedy), WORDS)[0]
    return text or ""
