"""`send_email`: sends by the home's mail server, or stores messages in an outbox that the owner can
read.
"""

from __future__ import annotations

import base64
import binascii
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.services._mail import (
    SMTP_FROM,
    SMTP_URL,
    Address,
    SingleLine,
    post,
    sender_of,
    single_line,
)
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.store import outbox
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.store.rows import ListedMessage, OutboxRow

MAX_RECIPIENTS, MAX_ATTACHMENT_BYTES = 100, 15 << 20
_TYPE = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}$"


def _mailbox(address: str) -> Mailbox:
    name, bare = parseaddr(address)
    return Mailbox(name, addr_spec=bare)


def _split_addresses(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Addresses = Annotated[list[Address], BeforeValidator(_split_addresses)]


class Attachment(Input):
    """A file, in base64."""

    filename: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(single_line)]
    content: str = Field(
        description="Base64.", validation_alias=AliasChoices("content", "content_base64", "data")
    )
    content_type: str = Field(default="application/octet-stream", pattern=_TYPE)


class EmailInput(Input):
    """A message. Addresses are a list, or a text with commas; 100 at most in all."""

    to: Addresses = Field(min_length=1, validation_alias=AliasChoices("to", "to_email", "recipients"))
    subject: SingleLine = Field(max_length=500)
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
    from_name: SingleLine | None = Field(
        default=None, max_length=200, description="The sender's name; the address is the home's."
    )
    attachments: list[Attachment] = Field(default=[], max_length=20)


class EmailOutput(Output):
    """`delivered`: a mail server accepted the message. Otherwise `outbox` is its id there and
    `note` the reason.
    """

    success: bool
    delivered: bool
    message_id: str
    refused: list[str] = Field(description="Recipients that the mail server refused.")
    outbox: str | None = None
    note: str | None = None


class OutboxQuery(Input):
    """The message to show; without an `id`, the newest ones."""

    id: str | None = None
    limit: int = Field(default=50, ge=1, le=outbox.MAX_MESSAGES)


class StoredEmail(Output):
    """A message that was not sent. `message` has all of it in the format of RFC 5322, if read by
    id.
    """

    id: str
    created_at: str
    to: list[str]
    subject: str
    request_id: str
    message: str | None = None


class Outbox(Output):
    """Messages in the outbox, newest first."""

    messages: list[StoredEmail]


async def send(context: ServiceContext, params: EmailInput) -> EmailOutput:
    """Send a message. Raises InvalidInput, MissingCredential, UpstreamFailed."""
    # One mail to each address, however often it is named.
    recipients = [parseaddr(address)[1] for address in dict.fromkeys([*params.to, *params.cc, *params.bcc])]
    if len(recipients) > MAX_RECIPIENTS:
        raise InvalidInput(
            f"The message has {len(recipients)} recipients; {MAX_RECIPIENTS} is the limit.",
            hint="Send one message to each; mass mail belongs to a service made for it.",
        )
    if params.text is None and params.html is None:
        raise InvalidInput("`text` is missing.", hint="Give `text`, `html` or both.")

    url = await context.secret(SMTP_URL)
    sender = await sender_of(context, "send_email", url)
    message = _message(params, sender)
    outcome = await post(context, message, url, sender, recipients)
    fields = {"success": True, "delivered": outcome.outbox is None, "message_id": str(message["Message-ID"])}

    if outcome.outbox is not None:
        fields["outbox"] = outcome.outbox
        fields["note"] = (
            f"Not sent: no mail server is set. POST /run/send_email/outbox shows it. {SMTP_URL.how}"
        )

    return EmailOutput.model_validate(fields | {"refused": outcome.refused})


def _message(params: EmailInput, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Mailbox(params.from_name or "", addr_spec=sender)
    # Bcc appears in no header.
    for name, addresses in (("To", params.to), ("Cc", params.cc), ("Reply-To", [params.reply_to])):
        if mailboxes := [_mailbox(address) for address in addresses if address]:
            message[name] = mailboxes

    message["Subject"] = params.subject
    message["Date"] = formatdate(localtime=False)
    # Else Python would write this machine's own name into the message.
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    if params.text is not None:
        message.set_content(params.text)
    # The best form comes last (RFC 2046, 5.1.4).
    if params.html is not None:
        if params.text is None:
            message.set_content(params.html, subtype="html")
        else:
            message.add_alternative(params.html, subtype="html")

    decoded = [(attachment, _decoded(attachment)) for attachment in params.attachments]
    if sum(len(data) for _, data in decoded) > MAX_ATTACHMENT_BYTES:
        raise InvalidInput(
            f"`attachments` are over {MAX_ATTACHMENT_BYTES >> 20} MiB.",
            hint="Upload the file and send its link.",
        )

    for attachment, data in decoded:
        main, _, sub = attachment.content_type.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=attachment.filename)

    return message


def _decoded(attachment: Attachment) -> bytes:
    try:
        # Without `validate` Python skips what is not base64.
        return base64.b64decode(attachment.content, validate=True)
    except binascii.Error:
        raise InvalidInput("The `content` of an attachment is not base64.") from None


async def read_outbox(context: ServiceContext, params: OutboxQuery) -> Outbox:
    """Read the outbox. Raises NotFound."""
    owner, database = context.caller.owner, context.dependencies.database
    if params.id is None:
        rows = await database.read(outbox.newest, owner, params.limit)
        return Outbox(messages=[_to_stored_email(row) for row in rows])
    row = await database.read(outbox.get, owner, params.id)
    if row is None:
        raise NotFound("There is no message of this id in the outbox.")
    return Outbox(messages=[_to_stored_email(row)])


def _to_stored_email(row: ListedMessage | OutboxRow) -> StoredEmail:
    fields = {
        "id": row["id"],
        "created_at": to_text(row["created_at"]),
        "to": row["recipients"],
        "subject": row["subject"],
        "request_id": row["run_id"],
    }
    # Lists leave the message out, which may be large.
    return StoredEmail.model_validate(fields | ({"message": row["message"]} if "message" in row else {}))


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
        Operation(
            "Show what was not sent",
            OutboxQuery,
            Outbox,
            read_outbox,
            effect="reads",
            path="outbox",
            example={},
        ),
    ),
    credentials=(SMTP_URL, SMTP_FROM),
)
