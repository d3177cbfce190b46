"""`user_login`: a workflow's own users sign in by a code or a link that they get by mail."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Annotated

import structlog
from pydantic import AliasChoices, Field

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.services._logins import SECONDS, LoginBegin, LoginSession
from codewords_mcp.runtime.services._mail import SMTP_FROM, SMTP_URL, Address, Line, post, sender_of
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

LONGEST = 90 * 86400
_sending: set[asyncio.Task[None]] = set()
log = structlog.get_logger(__name__)


class LoginInput(Input):
    """Whose users: a workflow's are its own, whatever it says; callers from outside name their app."""

    app: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,60}$")


class StartLogin(LoginInput):
    """A code goes to the address; with `return_url` a link as well, which leads there with a `login_ticket`."""

    email: Address = Field(max_length=320)
    title: Annotated[Line, Field(min_length=1, max_length=100)] = Field(
        default="this app",
        validation_alias=AliasChoices("title", "app_name"),
        description="What is signed in to, as the mail calls it.",
    )
    return_url: str | None = Field(
        default=None, max_length=2048, pattern=r"^https?://[^\s/?#]+", validation_alias=AliasChoices("return_url", "redirect_url")
    )  # fmt: skip
    allowed: list[str] | None = Field(
        default=None,
        max_length=1000,
        description="The only addresses, or domains like `example.org`, that get mail; nobody else learns that.",
    )
    session_seconds: int = Field(default=30 * 86400, ge=60, le=LONGEST)


class LoginStarted(Output):
    """The same for every address. Keep `login_id` for `verify`; `delivered` is false where mail goes to an outbox."""

    success: bool
    login_id: str
    expires_in: int
    delivered: bool
    note: str


class Verify(LoginInput):
    """`login_id` and the `code` that the person typed, or the `ticket` that a link brought."""

    login_id: str | None = Field(default=None, max_length=100)
    code: str | None = Field(default=None, max_length=20)
    ticket: str | None = Field(
        default=None, max_length=100, validation_alias=AliasChoices("ticket", "login_ticket")
    )


class User(Output):
    """`id` is the same each time, and another in each app."""

    id: str
    email: str


class SignedIn(Output):
    """`success` is false where the code, ticket or session is not good (any more). `session_token` comes once."""

    success: bool
    user: User | None = None
    session_token: str | None = None
    expires_at: str | None = None
    message: str | None = None


class Token(LoginInput):
    """A session."""

    session_token: str = Field(max_length=100, validation_alias=AliasChoices("session_token", "token"))


class Leave(Token):
    """`everywhere` ends all sessions of the user."""

    everywhere: bool = False


class SignedOut(Output):
    """How many sessions ended."""

    success: bool
    ended: int


async def start(context: ServiceContext, asked: StartLogin) -> LoginStarted:
    """Raises TooBusy, MissingCredential, UpstreamFailed where mail cannot be sent."""
    address = parseaddr(asked.email)[1].lower()
    if asked.title.strip():
        title = asked.title
    else:
        title = "this app"

    begun = await context.parts.logins.begin(
        context.caller.owner,
        await _app(context, asked),
        address,
        title=title,
        return_url=asked.return_url or "",
        session_seconds=asked.session_seconds,
    )
    url = await context.secret(SMTP_URL)
    if asked.allowed is None:
        await _mail(context, url, address, title, begun)
    else:
        # behind the answer, so that how long it takes does not tell who is on the list
        task = asyncio.create_task(_mail_those(context, url, address, title, begun, asked.allowed))
        _sending.add(task)
        task.add_done_callback(_sending.discard)

    return LoginStarted(
        success=True,
        login_id=begun.login_id,
        expires_in=SECONDS,
        delivered=url is not None,
        note=""
        if url
        else f"Not sent: no mail server is set. POST /run/send_email/outbox shows it. {SMTP_URL.how}",
    )


async def _mail_those(
    context: ServiceContext, url: str | None, address: str, title: str, begun: LoginBegin, allowed: list[str]
) -> None:
    names = {name.strip().lower().removeprefix("@") for name in allowed}
    if address not in names and address.rpartition("@")[2] not in names:
        return
    try:
        await _mail(context, url, address, title, begun)
    except CodewordsError as error:
        log.warning("a sign-in code was not mailed", run_id=context.run_id, reason=error.message)


async def _mail(
    context: ServiceContext, url: str | None, address: str, title: str, begun: LoginBegin
) -> None:
    sender = await sender_of(context, "user_login", url)
    message = EmailMessage()
    message["From"], message["To"] = sender, address
    message["Subject"] = f"{begun.code} is your code for {title}"
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])

    if begun.link:
        link = f"{context.parts.address()}/login/{begun.link}"
    else:
        link = ""

    lines = [
        f"{begun.code} is your code to sign in to {title}.",
        *([f"Or open this link:\n{link}"] if link else []),
        f"Either is good once, for {SECONDS // 60} minutes." if link else f"It is good once, for {SECONDS // 60} minutes.",
        "If you did not ask for it, do nothing: nobody signs in without it. Give it to nobody.",
    ]  # fmt: skip
    message.set_content("\n\n".join(lines) + "\n")
    await post(context, message, url, sender, [address])


async def verify(context: ServiceContext, asked: Verify) -> SignedIn:
    """Raises InvalidInput where neither a code nor a ticket is given."""
    owner, app, book = context.caller.owner, await _app(context, asked), context.parts.logins
    if asked.ticket:
        session = await book.by_ticket(owner, app, asked.ticket)
    elif asked.login_id and asked.code:
        session = await book.by_code(owner, app, asked.login_id, asked.code)
    else:
        raise InvalidInput("Give `login_id` and `code`, or a `ticket`.")

    if session is None:
        return SignedIn(success=False, message="This code is wrong, was used, or is too old.")

    return _told(session, session_token=session.token)


async def me(context: ServiceContext, asked: Token) -> SignedIn:
    """Who is signed in."""
    app = await _app(context, asked)
    session = await context.parts.logins.session(context.caller.owner, app, asked.session_token)
    if session is None:
        return SignedIn(success=False, message="Nobody is signed in with this session.")
    return _told(session)


async def logout(context: ServiceContext, asked: Leave) -> SignedOut:
    """Idempotent."""
    app = await _app(context, asked)
    ended = await context.parts.logins.end(
        context.caller.owner, app, asked.session_token, everywhere=asked.everywhere
    )
    return SignedOut(success=True, ended=ended)


async def _app(context: ServiceContext, asked: LoginInput) -> str:
    return context.workflow or asked.app or "default"


def _told(session: LoginSession, **more: str) -> SignedIn:
    return SignedIn(
        success=True,
        user=User(id=session.user_id, email=session.email),
        expires_at=session.expires_at.isoformat(),
        **more,
    )


SERVICE = Service(
    name="user_login",
    title="Sign-in of users",
    summary="A workflow's own users sign in by a code or a link that they get by mail.",
    operations=(
        Operation(
            "Send a code, and a link",
            StartLogin,
            LoginStarted,
            start,
            effect="writes",
            path="start",
            private=True,
            example={"email": "ann@example.org", "title": "The club"},
        ),
        Operation(
            "Begin a session with a code or a ticket",
            Verify,
            SignedIn,
            verify,
            effect="writes",
            path="verify",
            private=True,
            example={"login_id": "…", "code": "123456"},
        ),
        Operation(
            "Show who is signed in",
            Token,
            SignedIn,
            me,
            effect="reads",
            path="me",
            example={"session_token": "…"},
        ),
        Operation(
            "Sign out",
            Leave,
            SignedOut,
            logout,
            effect="writes",
            path="logout",
            example={"session_token": "…"},
        ),
    ),
    credentials=(SMTP_URL, SMTP_FROM),
)
