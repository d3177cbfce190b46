"""What `slack_trigger` and `whatsapp_trigger` share: webhooks that a workflow registers for itself."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, StringConstraints

from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.model.webhook import Webhook
from codewords_mcp.runtime.services.base import Input, Operation, Output, ServiceContext
from codewords_mcp.runtime.triggers.webhook_events import ANY

Name = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_.:-]{1,80})$")]


def _listed(value: object) -> object:
    if isinstance(value, str):
        return [value]
    return value


class Registration(Input):
    """What is run: `service_path` ("helper_99115e9a/event") or `service_id` with `path`. A workflow that leaves both out
    registers itself.
    """

    service_path: str | None = Field(default=None, max_length=500)
    service_id: str | None = Field(default=None, max_length=80)
    path: str | None = Field(default=None, max_length=400)
    events: Annotated[list[Name], BeforeValidator(_listed)] = Field(
        default=[ANY],
        min_length=1,
        max_length=50,
        validation_alias=AliasChoices("event_type", "event_types", "events"),
        description="A name, or a list; `*` for all.",
    )
    api_key: str | None = Field(default=None, description="Taken for the sake of other runtimes; not used.")


class Hook(Output):
    """One registration."""

    id: str
    service_id: str
    path: str
    events: list[str]
    url: str


class NoInput(Input):
    """No fields."""


class Hooks(Output):
    """Newest first."""

    registrations: list[Hook]


class DeleteInput(Input):
    """Which."""

    id: str = Field(max_length=40, validation_alias=AliasChoices("id", "registration_id"))


class Simulated(Output):
    """`delivery`: its id in the log; the workflow runs in the background."""

    success: bool
    delivery: str


async def register_hook(
    context: ServiceContext, kind: str, asked: Registration, filters: dict[str, Any]
) -> Hook:
    """Raises InvalidInput, NotFound; Forbidden for a workflow that would register another."""
    own = context.workflow
    service_id, path = asked.service_id or own, asked.path or "/"

    if asked.service_path:
        service_id, _, rest = asked.service_path.strip("/").partition("/")
        path = f"/{rest}"

    if not service_id:
        raise InvalidInput("`service_path` is missing.", hint='Write it as "{service id}/{path}".')
    if own is not None and service_id != own:
        raise Forbidden(
            "A workflow registers itself only.", hint="Register another one with a user's key, from outside."
        )

    made = await context.parts.webhooks.create(
        context.caller.owner,
        kind,
        service_id,
        path=path,
        filters=filters,
        made_by=context.made_by,
        key_id=context.caller.key_id,
    )
    return _hook(made)


def registrations(kind: str) -> tuple[Operation, Operation]:
    """The operations that list what of a kind was registered, and take it back."""

    async def listed(context: ServiceContext, _asked: NoInput) -> Hooks:
        found = await context.parts.webhooks.list(context.caller.owner, kind, maker=context.workflow)
        return Hooks(registrations=[_hook(one) for one in found])

    async def removed(context: ServiceContext, asked: DeleteInput) -> DeleteInput:
        await context.parts.webhooks.delete(context.caller.owner, asked.id, kind=kind, maker=context.workflow)
        return asked

    return (
        Operation(
            "List what was registered",
            NoInput,
            Hooks,
            listed,
            effect="reads",
            path="registrations",
            example={},
        ),
        Operation(
            "Take back what was registered",
            DeleteInput,
            DeleteInput,
            removed,
            effect="writes",
            path="unregister",
            example={"id": "wh_1"},
        ),
    )


def _hook(made: Webhook) -> Hook:
    events = made.filters.get("events", [ANY])
    return Hook(id=made.id, service_id=made.service_id, path=made.path, events=events, url=made.url)
