"""Remedies of errors as data. Each front door words them: as a command, a tool call or a route.

A remedy names an action and its arguments. The text next to it, a `hint` or `fix`, contains the remedy's
`words`: below the front doors a neutral sentence. A front door replaces these words by its own (`reword`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, cast


class RemedyAction(StrEnum):
    """An action that helps a person, a model or a client to continue after an error."""

    ADD_PACKAGE = "add_package"
    ADD_TEST = "add_test"
    APPLY_DRY_RUN = "apply_dry_run"
    BUILD_E2B_TEMPLATE = "build_e2b_template"
    CHANGE_BUDGETS = "change_budgets"
    CHANGE_MODELS = "change_models"
    CHANGE_QUOTA = "change_quota"
    CONNECT_INTEGRATION = "connect_integration"
    CREATE_KEY = "create_key"
    CREATE_ONE_TIME_KEY = "create_one_time_key"
    CREATE_SCOPED_KEY = "create_scoped_key"
    DELETE_DRAFT = "delete_draft"
    DELETE_SECRET = "delete_secret"  # noqa: S105  # an action
    DEPLOY_DRAFT = "deploy_draft"
    DIAGNOSE = "diagnose"
    FIND_INTEGRATION = "find_integration"
    INSTALL_SERVICE = "install_service"
    LIST_AGREEMENTS = "list_agreements"
    LIST_ALERTS = "list_alerts"
    LIST_BUDGETS = "list_budgets"
    LIST_CONNECTIONS = "list_connections"
    LIST_DELIVERIES = "list_deliveries"
    LIST_DRAFTS = "list_drafts"
    LIST_FIELD_VALUES = "list_field_values"
    LIST_KEYS = "list_keys"
    LIST_PUBLISHED = "list_published"
    LIST_RECORDINGS = "list_recordings"
    LIST_RUNS = "list_runs"
    LIST_SCHEDULES = "list_schedules"
    LIST_SECRETS = "list_secrets"
    LIST_SERVICES = "list_services"
    LIST_TEMPLATES = "list_templates"
    LIST_WEBHOOKS = "list_webhooks"
    LIST_TRIGGERS = "list_triggers"
    LIST_WORKFLOWS = "list_workflows"
    NAME_WORKFLOW = "name_workflow"
    PAIR_BROWSER = "pair_browser"
    REMOVE_TEST = "remove_test"
    REMOVE_TESTS = "remove_tests"
    REPLACE_SCHEDULE = "replace_schedule"
    RESTORE_BACKUP = "restore_backup"
    RESUME_RUN = "resume_run"
    RUN_DRY = "run_dry"
    RUN_IN_BACKGROUND = "run_in_background"
    SET_ANY_SECRET = "set_any_secret"  # noqa: S105  # an action
    SET_HOST_RULE = "set_host_rule"
    SET_SECRET = "set_secret"  # noqa: S105  # an action
    SET_SECRETS = "set_secrets"
    SHOW_WORKFLOW = "show_workflow"
    SIGN_IN = "sign_in"
    STOP_RUNTIME = "stop_runtime"


NEUTRAL_WORDS: Final[dict[RemedyAction, str]] = {
    RemedyAction.ADD_PACKAGE: "Install codewords-mcp[{extra}], or {package} beside codewords-mcp.",
    RemedyAction.ADD_TEST: "Make a test of one: {runs}.",
    RemedyAction.APPLY_DRY_RUN: "Apply the dry run {run} once more: it shows the list as it is now, and asks again.",
    RemedyAction.BUILD_E2B_TEMPLATE: "Build the E2B template again.",
    RemedyAction.CHANGE_BUDGETS: "A person can raise the budget.",
    RemedyAction.CHANGE_QUOTA: "An owner of the home can raise the quota of {owner}.",
    RemedyAction.CHANGE_MODELS: "The key and the header's `models` under [tool.codewords] list them.",
    RemedyAction.CONNECT_INTEGRATION: "Connect {app}.",
    RemedyAction.CREATE_KEY: "Make a new API key.",
    RemedyAction.CREATE_ONE_TIME_KEY: "Make a new one-time key.",
    RemedyAction.CREATE_SCOPED_KEY: "Make a key with the scope {scope}.",
    RemedyAction.DELETE_DRAFT: "Delete drafts that are not needed.",
    RemedyAction.DELETE_SECRET: "Delete the secret {name}.",
    RemedyAction.DEPLOY_DRAFT: "Deploy the draft {draft} first.",
    RemedyAction.DIAGNOSE: "The runtime's status says what works here and what does not.",
    RemedyAction.FIND_INTEGRATION: "Search the integrations for existing names.",
    RemedyAction.INSTALL_SERVICE: "As a service of this machine it starts with your session.",
    RemedyAction.LIST_AGREEMENTS: "See the list of your agreements.",
    RemedyAction.LIST_ALERTS: "See the list of alerts.",
    RemedyAction.LIST_BUDGETS: "See the list of budgets.",
    RemedyAction.LIST_CONNECTIONS: "See the list of connections.",
    RemedyAction.LIST_DELIVERIES: "See the list of deliveries.",
    RemedyAction.LIST_DRAFTS: "See the list of drafts.",
    RemedyAction.LIST_FIELD_VALUES: "The app lists the values of `{field}`.",
    RemedyAction.LIST_KEYS: "See the list of keys.",
    RemedyAction.LIST_PUBLISHED: "See the list of published tools.",
    RemedyAction.LIST_RECORDINGS: "See the list of recordings.",
    RemedyAction.LIST_RUNS: "See the list of runs.",
    RemedyAction.LIST_SCHEDULES: "See the list of schedules.",
    RemedyAction.LIST_SECRETS: "See the list of secrets.",
    RemedyAction.LIST_SERVICES: "See the list of library services.",
    RemedyAction.LIST_TEMPLATES: "See the list of templates.",
    RemedyAction.LIST_WEBHOOKS: "See the list of webhooks.",
    RemedyAction.LIST_TRIGGERS: "See the list of triggers.",
    RemedyAction.LIST_WORKFLOWS: "See the list of workflows.",
    RemedyAction.NAME_WORKFLOW: 'For a new version of it, name it: `service_id` "{workflow}". For a workflow of its own, '
    "give another `name`.",
    RemedyAction.PAIR_BROWSER: "Pair your Chrome with the runtime.",
    RemedyAction.REMOVE_TEST: "Make the test {run} an ordinary recording again.",
    RemedyAction.REMOVE_TESTS: "Remove tests of the workflow {workflow} that are not needed.",
    RemedyAction.REPLACE_SCHEDULE: "Make the schedule {schedule} anew and delete this one.",
    RemedyAction.RESTORE_BACKUP: "Restore a backup into another home.",
    RemedyAction.RESUME_RUN: "A person can then go on with the run {run} by an answer for each write: sent, or not.",
    RemedyAction.RUN_DRY: "Run the workflow as a dry run.",
    RemedyAction.RUN_IN_BACKGROUND: "Run it in the background for longer work.",
    RemedyAction.SET_ANY_SECRET: "Set one of the secrets {names}.",
    RemedyAction.SET_HOST_RULE: "Set the secret {name} again, with a rule that allows {host}.",
    RemedyAction.SET_SECRET: "Set the secret {name}.",
    RemedyAction.SET_SECRETS: "Set the secrets {names}.",
    RemedyAction.SHOW_WORKFLOW: "The workflow {workflow} lists its routes, their input and its versions.",
    RemedyAction.SIGN_IN: "Sign in to the runtime's pages as a person.",
    RemedyAction.STOP_RUNTIME: "Stop the runtime.",
}
"""A sentence for each action that fits every reader, also a program in a sandbox and its log."""

_SETS_SECRETS: Final = frozenset(
    {RemedyAction.SET_ANY_SECRET, RemedyAction.SET_SECRET, RemedyAction.SET_SECRETS}
)


@dataclass(frozen=True, slots=True)
class Remedy:
    """An action with its arguments. `words`: the sentence that stands for it in the text next to it.

    `alternative`: another action that helps instead, whose words the text has too.
    """

    action: RemedyAction
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    words: str = ""
    alternative: Remedy | None = None

    def __post_init__(self) -> None:
        if not self.words:
            object.__setattr__(self, "words", NEUTRAL_WORDS[self.action].format_map(self.arguments))

    @property
    def secret(self) -> str | None:
        """The name of the secret to set, the first of several; None if the action sets none."""
        names = self.arguments.get("name") or self.arguments.get("names", "")
        if self.action in _SETS_SECRETS:
            return names.replace(",", " ").split()[0]
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form: `{action, arguments, words}`, and `alternative` where there is one."""
        found = asdict(self)
        if self.alternative is None:
            del found["alternative"]
        else:
            found["alternative"] = self.alternative.to_dict()
        return found


def either(remedies: Iterable[Remedy]) -> Remedy | None:
    """The first of several remedies, with the others as its alternatives; None of none."""
    unique: list[Remedy] = []
    for remedy in remedies:
        if remedy not in unique:
            unique.append(remedy)

    found: Remedy | None = None
    for remedy in reversed(unique):
        found = replace(remedy, alternative=found)
    return found


def reword(text: str, remedy: Mapping[str, Any], words: Mapping[RemedyAction, str]) -> tuple[str, str]:
    """Replace the words of a remedy (wire form) in a text by those of a front door.

    Returns the text and the new words. An action that is unknown here, of a newer runtime, keeps its words.
    The words of alternatives are replaced too.
    """
    alternative = remedy.get("alternative")
    if isinstance(alternative, Mapping):
        text, _ = reword(text, cast("Mapping[str, Any]", alternative), words)

    old = str(remedy.get("words") or "")
    try:
        new = words[RemedyAction(remedy["action"])].format_map(remedy["arguments"])
    except (KeyError, TypeError, ValueError):
        return text, old

    if old:
        return text.replace(old, new), new
    return text, new


def with_words(remedy: Remedy, words: Mapping[RemedyAction, str]) -> Remedy:
    """A remedy and its alternatives with the words of a front door."""
    alternative = remedy.alternative
    if alternative is not None:
        alternative = with_words(alternative, words)
    return replace(remedy, words=reword("", remedy.to_dict(), words)[1], alternative=alternative)


def set_secret(name: str) -> Remedy:
    """The remedy for a secret without a usable value."""
    return Remedy(RemedyAction.SET_SECRET, {"name": name})


def add_package(package: str, extra: str) -> Remedy:
    """The remedy for an optional package that is missing: a requirement, and the extra that has it."""
    return Remedy(RemedyAction.ADD_PACKAGE, {"package": package, "extra": extra})


def show_workflow(workflow_id: str) -> Remedy:
    """The remedy for a route, input or version that a workflow lacks."""
    return Remedy(RemedyAction.SHOW_WORKFLOW, {"workflow": workflow_id})


def deploy_draft(draft_id: str) -> Remedy:
    """The remedy for a draft that is used like a workflow."""
    return Remedy(RemedyAction.DEPLOY_DRAFT, {"draft": draft_id})


DIAGNOSE: Final = Remedy(RemedyAction.DIAGNOSE)
CREATE_KEY: Final = Remedy(RemedyAction.CREATE_KEY)
SIGN_IN: Final = Remedy(RemedyAction.SIGN_IN)
