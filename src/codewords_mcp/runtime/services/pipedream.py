"""`pipedream`: integrations with other apps. `{app_slug, action_name, props}` does something; operations look around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.pipedream_client import HOW
from codewords_mcp.runtime.integrations.service import ActionRequest as Wanted
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
    Service,
    ServiceContext,
    ServiceCredential,
)

Does = Literal[
    "execute", "run",
    "search", "search_apps",
    "actions", "list_actions",
    "schema", "describe_action", "reload_props",
    "options", "get_options",
    "check_auth",
    "list_accounts",
]  # fmt: skip
MAX_WAIT = 100


class PipedreamInput(Input):
    """`operation` is `execute` without it, and what it needs of these is checked by it."""

    operation: Does | None = Field(
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
        description="A key, or a name that certainly means one.",
    )
    props: dict[str, Any] = Field(
        default_factory=dict, validation_alias=AliasChoices("props", "configured_props", "inputs")
    )
    dynamic_props_id: str | None = None
    account_id: str | None = Field(default=None, description="Which of several accounts; else the newest.")
    query: str = Field(default="", max_length=300, validation_alias=AliasChoices("query", "q", "search"))
    prop: str = Field(
        default="", validation_alias=AliasChoices("prop", "prop_name"), description="Of `options`."
    )
    limit: int = Field(default=20, ge=1, le=500)
    wait_seconds: float = Field(
        default=0, ge=0, le=MAX_WAIT, description="Of `check_auth`: until it is connected."
    )


class PipedreamOutput(Output):
    """Of an action `ret`, `exports` and `os`, as Pipedream gives them; of an operation what it is about."""

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


async def call(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    """See `PipedreamInput`.

    Raises InvalidInput, NotFound, NotConnected, NotAgreed, IntegrationFailed, TooBusy, UpstreamFailed.
    """
    return await _OPERATIONS[asked.operation or "execute"](context, asked)


async def _execute(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    _needs(asked, "app", "action")
    context.authority.require_action(asked.app, asked.action)
    wanted = Wanted(asked.app, asked.action, asked.props, asked.account_id, asked.dynamic_props_id)
    done: ActionOutcome = await context.parts.integrations.run(context.caller.owner, wanted, context.policy)
    return PipedreamOutput(
        success=True, ret=done.ret, exports=done.exports, os=list(done.os), summary=done.summary, files=list(done.files),
        backend=done.backend, action=done.action, account=done.account,
    )  # fmt: skip


async def _search(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    found = await context.parts.integrations.directory.search(
        context.caller.owner, asked.query or asked.app, asked.limit
    )
    return PipedreamOutput(actions=list(found.actions), apps=list(found.apps), note=found.note)


async def _actions(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    _needs(asked, "app")
    found = await context.parts.integrations.directory.actions(
        context.caller.owner, asked.app, asked.query, asked.limit
    )
    return PipedreamOutput(
        app_slug=found.app, actions=list(found.actions), total=found.total, note=found.note
    )


async def _schema(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    _needs(asked, "app", "action")
    book = context.parts.integrations
    if asked.props:  # the app is asked, by way of an account
        context.authority.require_action(asked.app, None)
    found = await book.schema(context.caller.owner, asked.app, asked.action, asked.props, asked.account_id)
    return PipedreamOutput(
        app_slug=found.app, definition=found.action, dynamic_props_id=found.dynamic_props_id
    )


async def _options(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    _needs(asked, "app", "action", "prop")
    context.authority.require_action(asked.app, None)
    found = await context.parts.integrations.options(
        context.caller.owner, asked.app, asked.action, asked.prop, asked.props,
        query=asked.query, account=asked.account_id, dynamic_id=asked.dynamic_props_id,
    )  # fmt: skip
    return PipedreamOutput(app_slug=found.app, options=list(found.options), note=found.note)


async def _check_auth(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    _needs(asked, "app")
    context.authority.require_action(asked.app, None)
    book, owner = context.parts.integrations.accounts, context.caller.owner
    found: Connection = await book.connect(owner, asked.app)

    if asked.wait_seconds and not found.connected:
        later = await book.check_auth(owner, asked.app, wait=asked.wait_seconds)
        found = later if later.connected else found

    return PipedreamOutput(
        success=True, app_slug=found.app, connected=found.connected, status=found.status, message=found.message, how=found.how,
        connect_link_url=found.connect_link_url, env_var=found.env_var, accounts=list(found.accounts),
    )  # fmt: skip


async def _accounts(context: ServiceContext, asked: PipedreamInput) -> PipedreamOutput:
    if context.caller.kind == "run":
        _needs(asked, "app")
        context.authority.require_action(asked.app, None)
    found = await context.parts.integrations.accounts.all(context.caller.owner)
    return PipedreamOutput(success=True, accounts=[one for one in found if asked.app in ("", one.app)])


def _needs(asked: PipedreamInput, *names: str) -> None:
    for name in names:
        if not getattr(asked, name):
            raise InvalidInput(
                f"`{name}` is missing.", hint=f"`{asked.operation or 'execute'}` takes {', '.join(names)}."
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
READING = frozenset(_OPERATIONS) - {"execute", "run", "check_auth"}
"""`check_auth` makes a link by which an account is connected."""
_OF_APPS = ", ".join(one.name for one in SERVICES.values())

SERVICE = Service(
    name="pipedream",
    title="Integrations",
    summary="Do something in another app: with Pipedream's actions, or in some apps with your own token.",
    operations=(
        Operation(
            "Do something in an app; or search, describe and check",
            PipedreamInput,
            PipedreamOutput,
            call,
            effect="writes",
            reads_when=lambda asked: asked.operation in READING,
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
            HOW,
            without=f"Some actions of {_OF_APPS} are done with your own tokens, and HTTP requests with none.",
            home=True,
        ),
    ),
)
