"""Operations shared by `slack_trigger` and `whatsapp_trigger`: webhooks that a workflow registers
for itself.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, StringConstraints

from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.model.webhook import Webhook
from codewords_mcp.runtime.services.base import Input, Operation, Output, ServiceContext
from codewords_mcp.runtime.triggers.webhook_events import ANY

EventName = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_.:-]{1,80})$")]


def _as_list(value: object) -> object:
    # Callers send one name as often as a list.
    if isinstance(value, str):
        return [value]
    return value


class RegistrationInput(Input):
    """The workflow to start: `service_path` ("helper_99115e9a/event"), or `service_id` with `path`.
    A workflow that leaves both out registers itself.
    """

    service_path: str | None = Field(default=None, max_length=500)
    service_id: str | None = Field(default=None, max_length=80)
    path: str | None = Field(default=None, max_length=400)
    events: Annotated[list[EventName], BeforeValidator(_as_list)] = Field(
        default=[ANY],
        min_length=1,
        max_length=50,
        validation_alias=AliasChoices("event_type", "event_types", "events"),
        description="A name, or a list; `*` for all.",
    )
    api_key: str | None = Field(
        default=None, description="Accepted for compatibility with other runtimes; not used."
    )


class TriggerRegistration(Output):
    """One registration. A `paused` one starts nothing until a person resumes it."""

    id: str
    service_id: str
    path: str
    events: list[str]
    url: str
    paused: bool = False


class NoInput(Input):
    """No fields."""


class TriggerRegistrations(Output):
    """The registrations, newest first."""

    registrations: list[TriggerRegistration]


class UnregisterInput(Input):
    """The registration to remove."""

    id: str = Field(max_length=40, validation_alias=AliasChoices("id", "registration_id"))


class SimulationOutput(Output):
    """`delivery` is the id of the delivery in the log. The workflow runs in the background."""

    success: bool
    delivery: str


async def register_hook(
    context: ServiceContext, kind: str, params: RegistrationInput, filters: dict[str, Any]
) -> TriggerRegistration:
    """Create the webhook. Raises InvalidInput, NotFound; Forbidden for a workflow that registers
    another.
    """
    calling_workflow = context.workflow
    service_id, path = params.service_id or calling_workflow, params.path or "/"

    if params.service_path:
        service_id, _, rest = params.service_path.strip("/").partition("/")
        path = f"/{rest}"

    if not service_id:
        raise InvalidInput("`service_path` is missing.", hint='Write it as "{service id}/{path}".')
    # Else a workflow could start others with data of its choice.
    if calling_workflow is not None and service_id != calling_workflow:
        raise Forbidden(
            "A workflow registers itself only.", hint="Register another one with a user's key, from outside."
        )

    webhook = await context.dependencies.webhooks.create(
        context.caller.owner,
        kind,
        service_id,
        path=path,
        filters=filters,
        made_by=context.made_by,
        key_id=context.caller.key_id,
    )
    return _to_registration(webhook)


def registration_operations(kind: str) -> tuple[Operation, Operation]:
    """Return the operations that list and remove registrations of a kind."""

    async def listed(context: ServiceContext, _params: NoInput) -> TriggerRegistrations:
        # A workflow sees what it registered itself.
        found = await context.dependencies.webhooks.list(context.caller.owner, kind, maker=context.workflow)
        return TriggerRegistrations(registrations=[_to_registration(webhook) for webhook in found])

    async def removed(context: ServiceContext, params: UnregisterInput) -> UnregisterInput:
        await context.dependencies.webhooks.delete(
            context.caller.owner, params.id, kind=kind, maker=context.workflow
        )
        return params

    return (
        Operation(
            "List what was registered",
            NoInput,
            TriggerRegistrations,
            listed,
            effect="reads",
            path="registrations",
            example={},
        ),
        Operation(
            "Take back what was registered",
            UnregisterInput,
            UnregisterInput,
            removed,
            effect="writes",
            path="unregister",
            example={"id": "wh_1"},
        ),
    )


def _to_registration(webhook: Webhook) -> TriggerRegistration:
    events = webhook.filters.get("events", [ANY])
    return TriggerRegistration(
        id=webhook.id,
        service_id=webhook.service_id,
        path=webhook.path,
        events=events,
        url=webhook.url,
        paused=webhook.paused,
    )
