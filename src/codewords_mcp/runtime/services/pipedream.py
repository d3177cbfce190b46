"""`pipedream`: integrations with other apps. `{app_slug, action_name, props}` runs an action;
`operation` selects another call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.pipedream_client import SETUP_HINT
from codewords_mcp.runtime.integrations.service import ActionRequest
from codewords_mcp.runtime.model.integration import (
    Account,
    Action,
    ActionOutcome,
    App,
    Connection,
    Hit,
    Option,
    Status,
)
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    ReadsWhen,
    Service,
    ServiceContext,
    ServiceCredential,
)

OperationKind = Literal[
    "execute", "run",
    "search", "search_apps",
    "actions", "list_actions",
    "schema", "describe_action", "reload_props",
    "options", "get_options",
    "check_auth",
    "list_accounts",
]  # fmt: skip
MAX_WAIT_SECONDS = 100


class PipedreamInput(Input):
    """`operation` defaults to `execute`. Each operation checks the fields that it needs."""

    operation: OperationKind | None = Field(
        default=None,
        description="search, actions, schema, options, check_auth, list_accounts; without it, execute.",
    )
    app: str = Field(
        default="",
        max_length=100,
        validation_alias=AliasChoices("app", "app_slug"),
        description="Like google_sheets.",
    )
    action: str = Field(
        default="",
        max_length=200,
        validation_alias=AliasChoices("action", "action_name"),
        description="A key, or an unambiguous name.",
    )
    props: dict[str, Any] = Field(
        default_factory=dict, validation_alias=AliasChoices("props", "configured_props", "inputs")
    )
    dynamic_props_id: str | None = None
    account_id: str | None = Field(default=None, description="Which of several accounts; else the newest.")
    query: str = Field(default="", max_length=300, validation_alias=AliasChoices("query", "q", "search"))
    prop: str = Field(
        default="", validation_alias=AliasChoices("prop", "prop_name"), description="For `options`."
    )
    limit: int = Field(default=20, ge=1, le=500)
    wait_seconds: float = Field(
        default=0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="For `check_auth`: seconds to wait for a connection.",
    )


class PipedreamOutput(Output):
    """An action's `ret`, `exports` and `os` as Pipedream returns them, or the fields of another
    operation's result.
    """

    success: bool | None = None
    ret: Any = None
    exports: dict[str, Any] | None = None
    os: list[dict[str, Any]] | None = None
    summary: str | None = None
    files: list[dict[str, Any]] | None = None
    backend: str | None = None
    action: str | None = None
    account: str | None = None
    actions: list[Hit] | None = None
    apps: list[App] | None = None
    total: int | None = None
    definition: Action | None = None
    dynamic_props_id: str | None = None
    options: list[Option] | None = None
    app_slug: str | None = None
    connected: bool | None = None
    status: Status | None = None
    message: str | None = None
    how: str | None = None
    connect_link_url: str | None = None
    env_var: str | None = None
    accounts: list[Account] | None = None
    note: str | None = None


async def call(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    """Perform the operation of the input.

    Raises InvalidInput, NotFound, NotConnected, NotAgreed, IntegrationFailed, TooBusy,
    UpstreamFailed.
    """
    return await _OPERATIONS[params.operation or "execute"](context, params)


async def _execute(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    _require_fields(params, "app", "action")
    # Before anything is looked up, so that a refused call learns nothing of the app.
    context.authority.require_action(params.app, params.action)
    request = ActionRequest(
        params.app, params.action, params.props, params.account_id, params.dynamic_props_id
    )
    outcome: ActionOutcome = await context.dependencies.integrations.run(
        context.caller.owner, request, context.policy
    )
    return PipedreamOutput(
        success=True, ret=outcome.ret, exports=outcome.exports, os=list(outcome.os), summary=outcome.summary,
        files=list(outcome.files), backend=outcome.backend, action=outcome.action, account=outcome.account,
    )  # fmt: skip


async def _search(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    result = await context.dependencies.integrations.directory.search(
        context.caller.owner, params.query or params.app, params.limit
    )
    return PipedreamOutput(actions=list(result.actions), apps=list(result.apps), note=result.note)


async def _actions(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    _require_fields(params, "app")
    result = await context.dependencies.integrations.directory.actions(
        context.caller.owner, params.app, params.query, params.limit
    )
    return PipedreamOutput(
        app_slug=result.app, actions=list(result.actions), total=result.total, note=result.note
    )


async def _schema(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    _require_fields(params, "app", "action")
    integrations = context.dependencies.integrations
    # With props the schema is computed by the app, through an account.
    if params.props:
        context.authority.require_action(params.app, None)
    result = await integrations.schema(
        context.caller.owner, params.app, params.action, params.props, params.account_id
    )
    return PipedreamOutput(
        app_slug=result.app, definition=result.action, dynamic_props_id=result.dynamic_props_id
    )


async def _options(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    _require_fields(params, "app", "action", "prop")
    context.authority.require_action(params.app, None)
    result = await context.dependencies.integrations.options(
        context.caller.owner, params.app, params.action, params.prop, params.props,
        query=params.query, account=params.account_id, dynamic_id=params.dynamic_props_id,
    )  # fmt: skip
    return PipedreamOutput(app_slug=result.app, options=list(result.options), note=result.note)


async def _check_auth(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    _require_fields(params, "app")
    context.authority.require_action(params.app, None)
    accounts, owner = context.dependencies.integrations.accounts, context.caller.owner
    # The link comes first: without it nobody could connect while this waits.
    result: Connection = await accounts.connect(owner, params.app)

    if params.wait_seconds and not result.connected:
        checked = await accounts.check_auth(owner, params.app, wait=params.wait_seconds)
        result = checked if checked.connected else result

    return PipedreamOutput(
        success=True, app_slug=result.app, connected=result.connected, status=result.status, message=result.message,
        how=result.how, connect_link_url=result.connect_link_url, env_var=result.env_var, accounts=list(result.accounts),
    )  # fmt: skip


async def _accounts(context: ServiceContext, params: PipedreamInput) -> PipedreamOutput:
    # A run may learn of accounts only in apps that it may use.
    if context.caller.kind == "run":
        _require_fields(params, "app")
        context.authority.require_action(params.app, None)
    result = await context.dependencies.integrations.accounts.all(context.caller.owner)
    return PipedreamOutput(
        success=True, accounts=[account for account in result if params.app in ("", account.app)]
    )


def _require_fields(params: PipedreamInput, *names: str) -> None:
    for name in names:
        if not getattr(params, name):
            raise InvalidInput(
                f"`{name}` is missing.", hint=f"`{params.operation or 'execute'}` takes {', '.join(names)}."
            )


_OPERATIONS: dict[str, Callable[[ServiceContext, PipedreamInput], Awaitable[PipedreamOutput]]] = {
    "execute": _execute,
    "run": _execute,
    "search": _search,
    "search_apps": _search,
    "actions": _actions,
    "list_actions": _actions,
    "schema": _schema,
    "describe_action": _schema,
    "reload_props": _schema,
    "options": _options,
    "get_options": _options,
    "check_auth": _check_auth,
    "list_accounts": _accounts,
}
READ_OPERATIONS = frozenset(_OPERATIONS) - {"execute", "run", "check_auth"}
"""`check_auth` is not among them: it makes a link by which an account is connected."""
_OF_APPS = ", ".join(service.name for service in SERVICES.values())


SERVICE = Service(
    name="pipedream",
    title="Integrations",
    acts_with="the accounts that you connected",
    summary="Do something in another app: with Pipedream's actions, or in some apps with your own token.",
    operations=(
        Operation(
            "Do something in an app; or search, describe and check",
            PipedreamInput,
            PipedreamOutput,
            call,
            effect="writes",
            reads_when=ReadsWhen("operation", READ_OPERATIONS),
            example={
                "app": "slack",
                "action": "send-message",
                "props": {"channel": "#general", "text": "Hello"},
            },
        ),
    ),
    credentials=(
        ServiceCredential(
            "PIPEDREAM_PROJECT_ID",
            SETUP_HINT,
            without=f"Some actions of {_OF_APPS} are done with your own tokens, and HTTP requests with none.",
            home=True,
        ),
    ),
)
