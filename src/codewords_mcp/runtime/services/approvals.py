"""`approvals`: a question that a running workflow asks a person, and waits for. `{title, details, options, fields, …}`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.auth.authority import CallTarget
from codewords_mcp.runtime.model.answer_form import check_form, fill
from codewords_mcp.runtime.model.run_wait import NewWait
from codewords_mcp.runtime.services._durations import Duration, seconds_of
from codewords_mcp.runtime.services._people import Notify
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

WEEK: Final = 7 * 86400


def _distinct(options: list[str]) -> list[str]:
    if len(set(options)) != len(options):
        raise ValueError("has the same option twice")
    return options


Option = Annotated[str, Field(min_length=1, max_length=80)]


class ApprovalInput(Input):
    """The question is in the inbox, and is sent to the people of `notify`."""

    title: str = Field(min_length=1, max_length=200, description="The question itself.")
    details: str = Field(default="", max_length=20_000, description="What a person has to know to decide.")
    options: Annotated[list[Option], Field(min_length=1, max_length=10), AfterValidator(_distinct)] = Field(
        default_factory=lambda: ["approve", "reject"], description="The buttons; the answer is one of them."
    )
    fields: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of an object with what the person may type beside the button."
    )
    timeout: Duration = Field(
        default=WEEK, description='Seconds until the deadline, or "30m", "4h", "3d"; a year at the most.'
    )
    default: str | None = Field(
        default=None,
        description="The option that counts after the deadline; without it `status` is `timed_out`.",
    )
    notify: Notify | None = Field(
        default=None,
        description='People who are sent the question and may answer it: {"email": […], "slack": […], "whatsapp": […]}.',
    )


class ApprovalOutput(Output):
    """`status` is `answered`, by a person or by the default after the deadline, or `timed_out`.

    `answer` is one of the options. `answered_by` is the person; None where the default answered.
    """

    status: Literal["answered", "timed_out"]
    question_id: str
    answer: str | None = None
    fields: dict[str, Any] | None = None
    answered_by: str | None = None
    answered_at: str | None = None
    answered_from: str | None = None


async def ask(context: ServiceContext, params: ApprovalInput) -> ApprovalOutput:
    """Ask, and wait for the answer or the deadline."""
    fields = None if params.fields is None else check_form(params.fields)
    if params.default is not None:
        if params.default not in params.options:
            raise InvalidInput("`default` is none of the `options`.", hint="Give one of them, or none.")
        # What the deadline answers has to fit, too: nobody is there then to type the rest.
        fill(fields, {})

    question: dict[str, Any] = {
        "details": params.details, "options": params.options, "fields": fields, "default": params.default,
    }  # fmt: skip
    if params.notify is None:
        recipients = ()
    else:
        recipients = params.notify.recipients
    new = NewWait("question", params.title, seconds_of(params.timeout), question, recipients)
    wait = await context.dependencies.waits.wait(context.caller, context.repeat_key, new)

    if wait.answer is None:
        return ApprovalOutput(status="timed_out", question_id=wait.id)
    return ApprovalOutput(
        status="answered",
        question_id=wait.id,
        answer=wait.answer["answer"],
        fields=wait.answer["fields"],
        answered_by=wait.closed_by,
        answered_at=None if wait.closed_at is None else wait.closed_at.isoformat(),
        answered_from=wait.closed_from,
    )


def _targets(params: ApprovalInput) -> list[CallTarget]:
    """The people whom the question is sent to; a run may name only those of its manifest."""
    if params.notify is None:
        recipients = ()
    else:
        recipients = params.notify.recipients
    return [CallTarget("recipient", one.item) for one in recipients]


SERVICE = Service(
    name="approvals",
    title="Approvals",
    summary="Ask a person, and wait for the answer: minutes or days, without a sandbox meanwhile.",
    operations=(
        Operation(
            "Ask a person a question with buttons, fields and a deadline",
            ApprovalInput,
            ApprovalOutput,
            ask,
            effect="writes",
            targets=_targets,
            example={
                "title": "Pay the invoice of 1,450 EUR?",
                "details": "Invoice 2041 of Example Ltd.",
                "options": ["pay", "reject"],
                "timeout": "3d",
                "default": "reject",
            },
        ),
    ),
    waits=True,
)
