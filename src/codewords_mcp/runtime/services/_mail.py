"""Mail of all services that send any: addresses, the home's mail server, the outbox."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator

from codewords_mcp.errors import InvalidInput, MissingCredential, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.services.base import ServiceContext, ServiceCredential
from codewords_mcp.runtime.store import outbox
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.rows import OutboxRow

SMTP_URL = ServiceCredential(
    "SMTP_URL",
    "Write your mail server as smtp://user:password@host:587, or smtps://…:465, %-encoded where need be.",
    without="Messages are stored in the outbox and not sent.",
    home=True,
    essential=True,
)
SMTP_FROM = ServiceCredential(
    "SMTP_FROM",
    "Give the address that mail comes from.",
    without="The user name in SMTP_URL is the sender, where it is an address.",
    home=True,
)
SEND_TIMEOUT = 60


def single_line(text: str) -> str:
    """Refuse a header text of several lines."""
    # Text after a line break would become another header.
    if not all(letter.isprintable() for letter in text):
        raise ValueError("it is one line, without control characters")
    return text


def bare_address(text: str) -> str:
    """Return a checked `local@domain`, its domain in ASCII. Raises ValueError."""
    import email_validator

    # The home's mail server decides which domains it serves: names like .local and .test are no mistake.
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    checked = email_validator.validate_email(
        text,
        allow_quoted_local=True,
        allow_smtputf8=False,
        strict=True,
        globally_deliverable=False,
        check_deliverability=False,
    )
    return str(checked.ascii_email)


def _address(text: str) -> str:
    from email.headerregistry import Address as Mailbox

    found = getaddresses([single_line(text)])
    try:
        # One address alone: several would be recipients that nobody sees.
        [(name, bare)] = found
        address = bare_address(bare)
    except ValueError:
        raise ValueError(
            "that is no e-mail address, like name@example.org or Name <name@example.org>"
        ) from None
    return str(Mailbox(name, addr_spec=address))


SingleLine = Annotated[str, AfterValidator(single_line)]
Address = Annotated[str, AfterValidator(_address)]


async def sender_of(context: ServiceContext, service: str, url: str | None) -> str:
    """Return the sender address. Raises MissingCredential."""
    sender = await context.secret(SMTP_FROM)
    if sender is None and url is None:
        # The outbox needs no address that works.
        return "nobody@localhost"
    return sender_address(f"The service {service}", url or "", sender)


def sender_address(subject: str, url: str, sender: str | None) -> str:
    """Return the address that mail comes from: `sender`, else the user of SMTP_URL. Raises MissingCredential."""
    user = unquote(urlsplit(url).username or "")
    try:
        return bare_address(parseaddr(sender or user)[1])
    except ValueError:
        raise MissingCredential(
            f"{subject} has no address to send from, so nothing was sent.",
            credential=SMTP_FROM.name,
            hint=SMTP_FROM.how,
            remedy=set_secret(SMTP_FROM.name),
        ) from None


@dataclass(frozen=True, slots=True)
class MailOutcome:
    """Outcome of sending a message.

    `outbox` is its id there if it was not sent; `refused` are the recipients that the server refused.
    """

    outbox: str | None = None
    refused: list[str] = field(default_factory=list[str])


async def post(
    context: ServiceContext, message: EmailMessage, url: str | None, sender: str, recipients: list[str]
) -> MailOutcome:
    """Send a message by the home's mail server, or store it in the outbox without one.

    Raises InvalidInput, UpstreamFailed.
    """
    if url is not None:
        return MailOutcome(refused=await deliver(url, message, sender, recipients))

    outbox_id = str(uuid.uuid4())
    row: OutboxRow = {
        "id": outbox_id,
        "owner": context.caller.owner,
        "run_id": context.run_id,
        "created_at": now(),
        "recipients": recipients,
        "subject": str(message["Subject"]),
        "message": message.as_string(),
    }
    await context.dependencies.database.write(outbox.add, row)

    return MailOutcome(outbox=outbox_id)


async def deliver(url: str, message: EmailMessage, sender: str, recipients: list[str]) -> list[str]:
    """Send by SMTP. Returns the recipients that the server refused while it accepted others."""
    # At first use, since most homes have no mail server.
    import aiosmtplib

    server = urlsplit(url)
    if server.scheme not in {"smtp", "smtps"} or not server.hostname:
        raise InvalidInput("SMTP_URL is not the address of a mail server.", hint=SMTP_URL.how)

    # Servers on this machine often have no TLS, and nobody listens in between.
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
            # Credentials must not be sent in the clear.
            start_tls=True if server.scheme == "smtp" and server.username and not loopback else None,
            timeout=SEND_TIMEOUT,
        )
    except aiosmtplib.SMTPAuthenticationError as error:
        raise UpstreamFailed(
            "The mail server refused the user and password of SMTP_URL.", upstream_status=error.code
        ) from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise UpstreamFailed(
            "The mail server refused all recipients.", hint="Check the addresses."
        ) from error
    except aiosmtplib.SMTPResponseException as error:
        raise UpstreamFailed(
            f"The mail server refused the message ({error.code}).", upstream_status=error.code
        ) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise UpstreamFailed(
            "The mail server of SMTP_URL can't be reached, or closed the connection.", hint="Check SMTP_URL."
        ) from error

    return [address for address in recipients if address in errors]
