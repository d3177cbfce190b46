"""`send_email`: by the home's mail server; without one into an outbox that its owner can read."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from codewords_mcp.errors import InvalidInput, MissingCredential, NotFound, UpstreamFailed
from codewords_mcp.runtime.services.base import Context, Credential, Input, Operation, Output, Service
from codewords_mcp.runtime.store import outbox
from codewords_mcp.runtime.store.clock import now, to_text

SMTP_URL = Credential(
    "SMTP_URL",
    "Write your mail server as smtp://user:password@host:587, or smtps://…:465, %-encoded where need be.",
    without="Messages are kept in the outbox and not sent.",
    home=True,
)
SMTP_FROM = Credential(
    "SMTP_FROM",
    "Give the address that mail comes from.",
    without="The user name in SMTP_URL is the sender, where it is an address.",
    home=True,
)
MAX_RECIPIENTS, MAX_ATTACHED, SECONDS = 100, 15 << 20, 60
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~-]{{1,64}}@(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_TYPE = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}$"


def _line(text: str) -> str:
    """A header's text has no lines: what comes after one would be another header."""
    if not all(letter.isprintable() for letter in text):
        raise ValueError("it is one line, without control characters")
    return text


def _address(text: str) -> str:
    name, address = parseaddr(_line(text))
    local, _, domain = address.rpartition("@")
    try:
        address = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        address = ""
    if not _ADDRESS.fullmatch(address) or "," in text.replace(f'"{name}"', ""):
        raise ValueError("that is no e-mail address, like name@example.org or Name <name@example.org>")
    return str(Mailbox(name, addr_spec=address))


def _mailbox(address: str) -> Mailbox:
    name, bare = parseaddr(address)
    return Mailbox(name, addr_spec=bare)


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Line = Annotated[str, AfterValidator(_line)]
Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[list[Address], BeforeValidator(_listed)]


class Attachment(Input):
    """A file, in base64."""

    filename: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_line)]
    content: str = Field(
        description="Base64.", validation_alias=AliasChoices("content", "content_base64", "data")
    )
    content_type: str = Field(default="application/octet-stream", pattern=_TYPE)


class Asked(Input):
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


class Told(Output):
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


class Kept(Output):
    """A message that was not sent; `message` is all of it, in the form of RFC 5322, where it was asked for by id."""

    id: str
    created_at: str
    to: list[str]
    subject: str
    request_id: str
    message: str | None = None


class Outbox(Output):
    """Newest first."""

    messages: list[Kept]


async def send(context: Context, asked: Asked) -> Told:
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
    sender = await _sender(context, url)
    message = _message(asked, sender)
    if url is None:
        return await _keep(context, asked, message, recipients)
    refused = await _deliver(url, message, sender, recipients)
    return Told(success=True, delivered=True, message_id=str(message["Message-ID"]), refused=refused)


async def _sender(context: Context, url: str | None) -> str:
    given = await context.secret(SMTP_FROM)
    if given is None and url is None:
        return "nobody@localhost"
    user = unquote(urlsplit(url or "").username or "")
    address = parseaddr(given or user)[1]
    if not _ADDRESS.fullmatch(address):
        raise MissingCredential(
            "The service send_email has no address to send from, so nothing was sent.",
            credential=SMTP_FROM.name,
            hint=f"{SMTP_FROM.how} `codewords secrets set {SMTP_FROM.name}`.",
        )
    return address


def _message(asked: Asked, sender: str) -> EmailMessage:
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


async def _keep(context: Context, asked: Asked, message: EmailMessage, recipients: list[str]) -> Told:
    kept = str(uuid.uuid4())
    row = {
        "id": kept,
        "owner": context.caller.owner,
        "run_id": context.run_id,
        "created_at": now(),
        "recipients": recipients,
        "subject": asked.subject,
        "message": message.as_string(),
    }
    await context.parts.database.write(lambda c: outbox.add(c, row))
    return Told(
        success=True,
        delivered=False,
        message_id=str(message["Message-ID"]),
        refused=[],
        outbox=kept,
        note=f"Not sent: no mail server is set. POST /run/send_email/outbox shows it. {SMTP_URL.how}",
    )


async def _deliver(url: str, message: EmailMessage, sender: str, recipients: list[str]) -> list[str]:
    """Hand it over; those whom the server refused while it took the rest."""
    import aiosmtplib

    server = urlsplit(url)
    if server.scheme not in {"smtp", "smtps"} or not server.hostname:
        raise InvalidInput("SMTP_URL is no address of a mail server.", hint=SMTP_URL.how)
    loopback = server.hostname in {"localhost", "127.0.0.1", "::1"}
    try:
        errors, _ = await aiosmtplib.send(
            message,
            sender=sender,
            recipients=recipients,
            hostname=server.hostname,
            port=server.port or (465 if server.scheme == "smtps" else 587),
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            # a password does not go over the net in the clear
            start_tls=True if server.scheme == "smtp" and server.username and not loopback else None,
            timeout=SECONDS,
        )
    except aiosmtplib.SMTPAuthenticationError as error:
        raise UpstreamFailed(
            "The mail server does not take the user and password of SMTP_URL.", upstream_status=error.code
        ) from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise UpstreamFailed(
            "The mail server takes none of these recipients.", hint="Check the addresses."
        ) from error
    except aiosmtplib.SMTPResponseException as error:
        raise UpstreamFailed(
            f"The mail server refused the message ({error.code}).", upstream_status=error.code
        ) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise UpstreamFailed(
            "The mail server of SMTP_URL cannot be reached, or broke off.", hint="Check SMTP_URL."
        ) from error
    return [address for address in recipients if address in errors]


async def look(context: Context, asked: Looked) -> Outbox:
    """Raises NotFound."""
    owner, database = context.caller.owner, context.parts.database
    if asked.id is None:
        rows = await database.read(lambda c: outbox.newest(c, owner, asked.limit))
        return Outbox(messages=[_kept(dict(row)) for row in rows])
    wanted = asked.id
    row = await database.read(lambda c: outbox.get(c, owner, wanted))
    if row is None:
        raise NotFound("There is no message of this id in the outbox.")
    return Outbox(messages=[_kept(dict(row))])


def _kept(row: dict[str, object]) -> Kept:
    told = {
        "id": row["id"],
        "created_at": to_text(row["created_at"]),  # type: ignore[arg-type]  # a number of the store
        "to": row["recipients"],
        "subject": row["subject"],
        "request_id": row["run_id"],
    }
    return Kept.model_validate(told | ({"message": row["message"]} if "message" in row else {}))


SERVICE = Service(
    name="send_email",
    title="Send e-mail",
    summary="E-mail by the home's mail server; without one into an outbox, and it says so.",
    operations=(
        Operation(
            "Send one message",
            Asked,
            Told,
            send,
            example={"to": "ann@example.org", "subject": "The report", "text": "It is ready."},
        ),
        Operation("Show what was not sent", Looked, Outbox, look, path="outbox", example={}),
    ),
    credentials=(SMTP_URL, SMTP_FROM),
)
