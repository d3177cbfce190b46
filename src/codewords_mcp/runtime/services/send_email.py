"""`send_email`: by the home's mail server; without one into an outbox that its owner can read."""

from __future__ import annotations

import base64
import binascii
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.services._mail import SMTP_FROM, SMTP_URL, Address, Line, line, post, sender_of
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.store import outbox
from codewords_mcp.runtime.store.clock import to_text

MAX_RECIPIENTS, MAX_ATTACHED = 100, 15 << 20
_TYPE = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}$"


def _mailbox(address: str) -> Mailbox:
    name, bare = parseaddr(address)
    return Mailbox(name, addr_spec=bare)


def _listed(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Addresses = Annotated[list[Address], BeforeValidator(_listed)]


class Attachment(Input):
    """A file, in base64."""

    filename: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(line)]
    content: str = Field(
        description="Base64.", validation_alias=AliasChoices("content", "content_base64", "data")
    )
    content_type: str = Field(default="application/octet-stream", pattern=_TYPE)


class EmailInput(Input):
    """A message. Addresses are a text with commas, or a list; 100 at most in all."""

    to: Addresses = Field(min_length=1, validation_alias=AliasChoices("to", "to_email", "recipients"))
    subject: Line = Field(max_length=500)
    text: str | None = Field(
        default=None,
        max_length=1 << 20,
        validation_alias=AliasChoices("text", "body", "content", "message"),
        description="Plain text. It or `html` is needed.",
    )
    html: str | None = Field(
        default=None, max_length=1 << 20, validation_alias=AliasChoices("html", "html_body", "html_content")
    )
    cc: Addresses = Field(default=[])
    bcc: Addresses = Field(default=[])
    reply_to: Address | None = None
    from_name: Line | None = Field(
        default=None, max_length=200, description="The sender's name; the address is the home's."
    )
    attachments: list[Attachment] = Field(default=[], max_length=20)


class EmailOutput(Output):
    """`delivered`: a mail server took it. Otherwise `outbox` is its id there, and `note` says why."""

    success: bool
    delivered: bool
    message_id: str
    refused: list[str] = Field(description="Recipients that the mail server did not take.")
    outbox: str | None = None
    note: str | None = None


class Looked(Input):
    """Without an `id`, the newest."""

    id: str | None = None
    limit: int = Field(default=50, ge=1, le=outbox.KEPT)


class StoredEmail(Output):
    """A message that was not sent; `message` is all of it, in the form of RFC 5322, where it was asked for by id."""

    id: str
    created_at: str
    to: list[str]
    subject: str
    request_id: str
    message: str | None = None


class Outbox(Output):
    """Newest first."""

    messages: list[StoredEmail]


async def send(context: ServiceContext, asked: EmailInput) -> EmailOutput:
    """Raises InvalidInput, MissingCredential, UpstreamFailed."""
    recipients = [parseaddr(one)[1] for one in dict.fromkeys([*asked.to, *asked.cc, *asked.bcc])]
    if len(recipients) > MAX_RECIPIENTS:
        raise InvalidInput(
            f"{len(recipients)} recipients are too many for one message: {MAX_RECIPIENTS} is the limit.",
            hint="Send one message to each; mass mail belongs to a service made for it.",
        )
    if asked.text is None and asked.html is None:
        raise InvalidInput("`text` is missing.", hint="Give `text`, `html` or both.")

    url = await context.secret(SMTP_URL)
    sender = await sender_of(context, "send_email", url)
    message = _message(asked, sender)
    posted = await post(context, message, url, sender, recipients)
    told = {"success": True, "delivered": posted.outbox is None, "message_id": str(message["Message-ID"])}

    if posted.outbox is not None:
        told["outbox"] = posted.outbox
        told["note"] = (
            f"Not sent: no mail server is set. POST /run/send_email/outbox shows it. {SMTP_URL.how}"
        )

    return EmailOutput.model_validate(told | {"refused": posted.refused})


def _message(asked: EmailInput, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Mailbox(asked.from_name or "", addr_spec=sender)
    for name, addresses in (("To", asked.to), ("Cc", asked.cc), ("Reply-To", [asked.reply_to])):
        if given := [_mailbox(address) for address in addresses if address]:
            message[name] = given

    message["Subject"] = asked.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    if asked.text is not None:
        message.set_content(asked.text)
    if asked.html is not None:
        if asked.text is None:
            message.set_content(asked.html, subtype="html")
        else:
            message.add_alternative(asked.html, subtype="html")

    attached = [(one, _decoded(one)) for one in asked.attachments]
    if sum(len(data) for _, data in attached) > MAX_ATTACHED:
        raise InvalidInput(
            f"`attachments` are over {MAX_ATTACHED >> 20} MiB.", hint="Upload the file and send its link."
        )

    for one, data in attached:
        main, _, sub = one.content_type.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=one.filename)

    return message


def _decoded(attachment: Attachment) -> bytes:
    try:
        return base64.b64decode(attachment.content, validate=True)
    except binascii.Error:
        raise InvalidInput("The `content` of an attachment is not base64.") from None


async def look(context: ServiceContext, asked: Looked) -> Outbox:
    """Raises NotFound."""
    owner, database = context.caller.owner, context.parts.database
    if asked.id is None:
        rows = await database.read(outbox.newest, owner, asked.limit)
        return Outbox(messages=[_kept(dict(row)) for row in rows])
    wanted = asked.id
    row = await database.read(outbox.get, owner, wanted)
    if row is None:
        raise NotFound("There is no message of this id in the outbox.")
    return Outbox(messages=[_kept(dict(row))])


def _kept(row: dict[str, object]) -> StoredEmail:
    told = {
        "id": row["id"],
        "created_at": to_text(row["created_at"]),  # type: ignore[arg-type]  # a number of the store
        "to": row["recipients"],
        "subject": row["subject"],
        "request_id": row["run_id"],
    }
    return StoredEmail.model_validate(told | ({"message": row["message"]} if "message" in row else {}))


SERVICE = Service(
    name="send_email",
    title="Send e-mail",
    summary="E-mail by the home's mail server; without one into an outbox, and it says so.",
    operations=(
        Operation(
            "Send one message",
            EmailInput,
            EmailOutput,
            send,
            effect="writes",
            aliases=("send",),
            example={"to": "ann@example.org", "subject": "The report", "text": "It is ready."},
        ),
        Operation("Show what was not sent", Looked, Outbox, look, effect="reads", path="outbox", example={}),
    ),
    credentials=(SMTP_URL, SMTP_FROM),
)
