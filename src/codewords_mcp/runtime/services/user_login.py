"""`user_login`: a workflow's own users sign in by a code or a link in a mail."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Annotated

import structlog
from pydantic import AliasChoices, Field

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.services._logins import CODE_TTL_S, LoginSession, PendingLogin
from codewords_mcp.runtime.services._mail import SMTP_FROM, SMTP_URL, Address, SingleLine, post, sender_of
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

MAX_SESSION_SECONDS = 90 * 86400
# asyncio itself holds tasks by weak references only.
_mail_tasks: set[asyncio.Task[None]] = set()
log = structlog.get_logger(__name__)


class LoginInput(Input):
    """The app of the users. A workflow's app is always itself; callers from outside name one."""

    app: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,60}$")


class StartLoginInput(LoginInput):
    """A code goes to the address; with `return_url` also a link, which leads there with a
    `login_ticket`.
    """

    email: Address = Field(max_length=320)
    title: Annotated[SingleLine, Field(min_length=1, max_length=100)] = Field(
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
        description="The only addresses, or domains like `example.org`, that get mail; the response is the same for others.",
    )
    session_seconds: int = Field(default=30 * 86400, ge=60, le=MAX_SESSION_SECONDS)


class StartLoginOutput(Output):
    """The same for every address. Keep `login_id` for `verify`; `delivered` is false if mail goes
    to an outbox.
    """

    success: bool
    login_id: str
    expires_in: int
    delivered: bool
    note: str


class VerifyInput(LoginInput):
    """`login_id` and the `code` that the person typed, or the `ticket` of the link."""

    login_id: str | None = Field(default=None, max_length=100)
    code: str | None = Field(default=None, max_length=20)
    ticket: str | None = Field(
        default=None, max_length=100, validation_alias=AliasChoices("ticket", "login_ticket")
    )


class LoginUser(Output):
    """A user. `id` is the same each time, and another in each app."""

    id: str
    email: str


class SessionOutput(Output):
    """`success` is false if the code, ticket or session is not valid. `session_token` is returned
    once.
    """

    success: bool
    user: LoginUser | None = None
    session_token: str | None = None
    expires_at: str | None = None
    message: str | None = None


class SessionInput(LoginInput):
    """A session, by its token."""

    session_token: str = Field(max_length=100, validation_alias=AliasChoices("session_token", "token"))


class LogoutInput(SessionInput):
    """`everywhere` ends all sessions of the user."""

    everywhere: bool = False


class LogoutOutput(Output):
    """The number of sessions ended."""

    success: bool
    ended: int


async def start(context: ServiceContext, params: StartLoginInput) -> StartLoginOutput:
    """Start a sign-in and mail its code. Raises TooBusy, MissingCredential, UpstreamFailed if mail
    can't be sent.
    """
    # One person, however the address is written.
    address = parseaddr(params.email)[1].lower()
    # A title of blanks would leave a hole in the subject.
    if params.title.strip():
        title = params.title
    else:
        title = "this app"

    login = await context.dependencies.logins.begin(
        context.caller.owner,
        await _app(context, params),
        address,
        title=title,
        return_url=params.return_url or "",
        session_seconds=params.session_seconds,
    )
    url = await context.secret(SMTP_URL)
    if params.allowed is None:
        await _mail(context, url, address, title, login)
    else:
        # Mailed after the response: its duration must not tell whether an address is on the list.
        task = asyncio.create_task(_mail_if_allowed(context, url, address, title, login, params.allowed))
        _mail_tasks.add(task)
        task.add_done_callback(_mail_tasks.discard)

    note = ""
    if url is None:
        note = f"Not sent: no mail server is set. POST /run/send_email/outbox shows it. {SMTP_URL.how}"

    return StartLoginOutput(
        success=True,
        login_id=login.login_id,
        expires_in=CODE_TTL_S,
        delivered=url is not None,
        note=note,
    )


async def _mail_if_allowed(
    context: ServiceContext,
    url: str | None,
    address: str,
    title: str,
    login: PendingLogin,
    allowed: list[str],
) -> None:
    names = {name.strip().lower().removeprefix("@") for name in allowed}
    if address not in names and address.rpartition("@")[2] not in names:
        return
    try:
        await _mail(context, url, address, title, login)
    except CodewordsError as error:
        # Nobody waits for this task, so the log is the only one to tell.
        log.warning("sign-in code not mailed", run_id=context.run_id, reason=error.message)


async def _mail(
    context: ServiceContext, url: str | None, address: str, title: str, login: PendingLogin
) -> None:
    sender = await sender_of(context, "user_login", url)
    message = EmailMessage()
    message["From"], message["To"] = sender, address
    # First, so that a notification shows it without the mail being opened.
    message["Subject"] = f"{login.code} is your code for {title}"
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])

    lines = [f"{login.code} is your code to sign in to {title}."]
    if login.link:
        link = f"{context.dependencies.address()}/login/{login.link}"
        lines += [f"Or open this link:\n{link}", f"Either is good once, for {CODE_TTL_S // 60} minutes."]
    else:
        lines.append(f"It is good once, for {CODE_TTL_S // 60} minutes.")
    lines.append("If you did not ask for it, do nothing: nobody signs in without it. Give it to nobody.")
    message.set_content("\n\n".join(lines) + "\n")
    await post(context, message, url, sender, [address])


async def verify(context: ServiceContext, params: VerifyInput) -> SessionOutput:
    """Open a session. Raises InvalidInput without a code or a ticket."""
    owner, app, logins = context.caller.owner, await _app(context, params), context.dependencies.logins
    if params.ticket:
        session = await logins.by_ticket(owner, app, params.ticket)
    elif params.login_id and params.code:
        session = await logins.by_code(owner, app, params.login_id, params.code)
    else:
        raise InvalidInput("A code is missing.", hint="Give `login_id` and `code`, or a `ticket`.")

    # One sentence for all of these: whoever guesses must not learn which it was.
    if session is None:
        return SessionOutput(success=False, message="This code is wrong, was used, or has expired.")

    return _to_output(session, session_token=session.token)


async def me(context: ServiceContext, params: SessionInput) -> SessionOutput:
    """Return the user of a session."""
    app = await _app(context, params)
    session = await context.dependencies.logins.session(context.caller.owner, app, params.session_token)
    if session is None:
        return SessionOutput(success=False, message="Nobody is signed in with this session.")
    return _to_output(session)


async def logout(context: ServiceContext, params: LogoutInput) -> LogoutOutput:
    """Sign out. Idempotent."""
    app = await _app(context, params)
    ended_count = await context.dependencies.logins.end(
        context.caller.owner, app, params.session_token, everywhere=params.everywhere
    )
    return LogoutOutput(success=True, ended=ended_count)


async def _app(context: ServiceContext, params: LoginInput) -> str:
    # A workflow must not reach the users of another app.
    return context.workflow or params.app or "default"


def _to_output(session: LoginSession, **more: str) -> SessionOutput:
    return SessionOutput(
        success=True,
        user=LoginUser(id=session.user_id, email=session.email),
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
            StartLoginInput,
            StartLoginOutput,
            start,
            effect="writes",
            path="start",
            private=True,
            example={"email": "ann@example.org", "title": "The club"},
        ),
        Operation(
            "Begin a session with a code or a ticket",
            VerifyInput,
            SessionOutput,
            verify,
            effect="writes",
            path="verify",
            private=True,
            example={"login_id": "…", "code": "123456"},
        ),
        Operation(
            "Show who is signed in",
            SessionInput,
            SessionOutput,
            me,
            effect="reads",
            path="me",
            example={"session_token": "…"},
        ),
        Operation(
            "Sign out",
            LogoutInput,
            LogoutOutput,
            logout,
            effect="writes",
            path="logout",
            example={"session_token": "…"},
        ),
    ),
    credentials=(SMTP_URL, SMTP_FROM),
)
