"""Mail that arrives in a folder of a mail server, read by IMAP. Everything stays unseen there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import cache, partial
from typing import cast

from pydantic import Field

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import BodyTooLarge, Forbidden, InvalidInput, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.mail_content import MailAttachment, read_mail
from codewords_mcp.runtime.triggers.sources.mail_sign_in import AccessTokens, OAuthClient
from codewords_mcp.runtime.web.imap import (
    CommandRefused,
    ImapSession,
    Mailbox,
    MessageInfo,
    imap_date,
    imap_session,
)

PAGE = 20
"""Mails that one poll reads."""
MAX_MAIL = 25 << 20
"""Bytes of a mail that is read whole."""
MAX_PAGE_BYTES = 60 << 20
"""Bytes of mails after which a poll ends its page."""
PAGE_TIMEOUT_S = 30.0
"""Seconds after which a poll ends its page, so that what a slow server has given is not read again."""
MAX_START = 256 << 10
"""Bytes that are read of a larger mail."""
MAX_RECOVERED = 500
"""Mails that are looked at again after the server numbered the folder anew; the newest are."""


class MailOptions(Model):
    """A folder of a mail server."""

    host: str = Field(min_length=1, max_length=253, description="The mail server, such as imap.example.org.")
    port: int = Field(default=993, ge=1, le=65535, description="Its port for IMAP.")
    user: str = Field(min_length=1, max_length=320, description="The name that signs in; often the address.")
    secret: str = Field(
        description="Name of the secret with the password or app password, whose host rule names imap.example.org:993 or "
        "alike; with `token_url` with a refresh token, whose host rule names that host."
    )
    folder: str = Field(default="INBOX", description="The folder that is watched.")
    token_url: str | None = Field(
        default=None,
        max_length=2000,
        description="For servers that take OAuth only: the address that gives access tokens for a refresh token.",
    )
    client_id: str = Field(default="", max_length=500, description="The OAuth client of the refresh token.")
    client_secret: str | None = Field(
        default=None, description="Name of the secret with that client's secret, if it has one."
    )
    tls: bool = Field(
        default=True, description="False only for a server on this machine that speaks plain IMAP."
    )


class MailSource(EventSource[MailOptions]):
    """See `EventSource`. The state has UIDVALIDITY, the next UID and the time of the newest mail."""

    kind = "mail"
    title = "Mail in a folder (IMAP)"
    interval_s = 60.0
    Options = MailOptions

    def __init__(self) -> None:
        self._tokens = AccessTokens()

    async def poll(self, options: MailOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        """See `EventSource`."""
        async with self._session(options, tools) as session:
            mailbox = await _open(session, options)
            if state is None:
                return Polled([], await _baseline(session, mailbox))
            return await _new_mail(session, mailbox, cast("JsonObject", state), options, tools)

    async def sample(self, options: MailOptions, tools: SourceTools) -> SourceEvent | None:
        """See `EventSource`."""
        async with self._session(options, tools) as session:
            mailbox = await _open(session, options)
            info = await _newest(session, mailbox)
            if info is None:
                return None
            return await _event(session, mailbox, info, options, tools)

    @asynccontextmanager
    async def _session(self, options: MailOptions, tools: SourceTools) -> AsyncGenerator[ImapSession]:
        """Connect and sign in. Raises InvalidInput, Forbidden, UpstreamFailed."""
        if not options.tls and not is_this_machine(normal_host(options.host) or ""):
            raise InvalidInput(
                "A password is sent to another machine over TLS only.",
                hint="Leave `tls` as it is, and use the port for TLS.",
            )
        if options.token_url is not None:
            client = OAuthClient(options.token_url, options.client_id, options.client_secret)
            # Before a connection: a token that may not go to its endpoint opens none.
            token = await self._tokens.token(client, options.secret, tools)
            async with imap_session(tools.web, options.host, options.port, tls=options.tls) as session:
                await self._tokens.sign_in(session, options.user, token)
                yield session
            return

        # Before anything is sent: a password that may not go to this host opens no connection either.
        password = await tools.secret(options.secret, f"{options.host}:{options.port}")
        async with imap_session(tools.web, options.host, options.port, tls=options.tls) as session:
            try:
                await session.login(options.user, password)
            except CommandRefused:
                raise Forbidden(
                    f"The mail server refused the user and the password of {options.secret}.",
                    hint="Many servers want an app password instead of the account's.",
                    remedy=set_secret(options.secret),
                ) from None
            yield session


@cache
def _reader() -> ThreadPoolExecutor:
    """Return the thread that reads mails: one at a time, since a large one takes some 200 MiB."""
    return ThreadPoolExecutor(1, thread_name_prefix="mail-reader")


async def _open(session: ImapSession, options: MailOptions) -> Mailbox:
    try:
        return await session.examine(options.folder)
    except CommandRefused:
        raise InvalidInput(
            "The mail server has no folder of this name, or does not open it.",
            hint="Check `folder`; a folder in another is named like INBOX/Orders or INBOX.Orders.",
        ) from None


async def _baseline(session: ImapSession, mailbox: Mailbox) -> JsonObject:
    """Return the state after all mail that is there now."""
    newest = await _newest(session, mailbox)
    following = mailbox.uid_next or (newest.uid + 1 if newest else 1)
    # A second later, so that the newest mail of now is none that is found again.
    if newest and newest.received_at:
        since = newest.received_at + timedelta(seconds=1)
    else:
        since = None
    return _state(mailbox, following, since)


def _state(mailbox: Mailbox, following: int, since: datetime | None) -> JsonObject:
    newest = None if since is None else since.isoformat()
    return {"validity": mailbox.uid_validity, "next": following, "newest": newest}


async def _newest(session: ImapSession, mailbox: Mailbox) -> MessageInfo | None:
    if mailbox.messages == 0:
        return None
    with _required():
        uids = await session.uids("UID *")
        infos = await session.infos(uids[-1:]) if uids else []
    return infos[-1] if infos else None


async def _new_mail(
    session: ImapSession, mailbox: Mailbox, state: JsonObject, options: MailOptions, tools: SourceTools
) -> Polled:
    """Return the events of a page of new mail."""
    following = int(cast("int", state["next"]))
    if state["newest"]:
        since = datetime.fromisoformat(str(state["newest"]))
    else:
        since = None
    if mailbox.uid_validity != state["validity"]:
        following = await _first_since(session, mailbox, since)
    # The usual poll ends here, with one command.
    if mailbox.uid_next == following:
        return Polled([], _state(mailbox, following, since))

    with _required():
        # `n:*` has the last message even where its number is lower.
        uids = [uid for uid in await session.uids(f"UID {following}:*") if uid >= following]
        infos = await session.infos(uids[:PAGE]) if uids else []
    events: list[SourceEvent] = []
    read_bytes, done, deadline = 0, following, time.monotonic() + PAGE_TIMEOUT_S

    for info in infos:
        if events and (read_bytes > MAX_PAGE_BYTES or time.monotonic() > deadline):
            break
        try:
            event = await _event(session, mailbox, info, options, tools)
        except UpstreamFailed:
            # What was read before the connection broke is not read again.
            if not events:
                raise
            break
        if event is not None:
            events.append(event)
        read_bytes += min(info.size, MAX_MAIL)
        done = info.uid + 1
        since = max(filter(None, (since, info.received_at)), default=None)
    else:
        # All of the page, also those that were deleted meanwhile.
        done = max(done, uids[:PAGE][-1] + 1) if uids else done
        if len(uids) <= PAGE:
            return Polled(events, _state(mailbox, max(done, mailbox.uid_next or 0), since))

    return Polled(events, _state(mailbox, done, since), more=True)


async def _first_since(session: ImapSession, mailbox: Mailbox, since: datetime | None) -> int:
    """Return the first number that is looked at after the server has numbered the folder anew.

    Mail is found again by its time; the engine knows the keys of what it has had.
    """
    if since is None:
        criteria = "ALL"
    else:
        # The server compares days in a zone of its own.
        criteria = f"SINCE {imap_date((since - timedelta(days=1)).date())}"

    with _required():
        uids = (await session.uids(criteria))[-MAX_RECOVERED:]
        infos = await session.infos(uids) if uids else []
    # Without a time it could be new.
    new = [info.uid for info in infos if None in {since, info.received_at} or _is_since(info, since)]
    after_all = mailbox.uid_next or (uids[-1] + 1 if uids else 1)
    return min(new, default=after_all)


def _is_since(info: MessageInfo, since: datetime | None) -> bool:
    return since is not None and info.received_at is not None and info.received_at >= since


async def _event(
    session: ImapSession, mailbox: Mailbox, info: MessageInfo, options: MailOptions, tools: SourceTools
) -> SourceEvent | None:
    """Read a mail; None if it was deleted meanwhile. A mail that the server can't give is an event without content."""
    common: JsonObject = {"folder": options.folder, "uid": info.uid, "size": info.size}
    whole = info.size <= MAX_MAIL
    limit = MAX_MAIL if whole else MAX_START
    try:
        raw = await session.content(info.uid, limit)
    except CommandRefused:
        # It must not hold up those after it.
        key = f"{mailbox.uid_validity}:{info.uid}"
        return SourceEvent(key, common | {"unreadable": True}, info.received_at)
    if raw is None:
        return None

    read = partial(read_mail, raw, complete=whole and len(raw) < limit)
    mail = await asyncio.get_running_loop().run_in_executor(_reader(), read)
    attachments: list[JsonValue] = [await _keep(attachment, tools) for attachment in mail.attachments]
    left_out = mail.attachment_count - len(attachments)
    more: JsonObject = {"attachments": attachments, "attachments_left_out": left_out}
    return SourceEvent(mail.identity, common | mail.fields | more, info.received_at or mail.sent_at)


async def _keep(attachment: MailAttachment, tools: SourceTools) -> JsonObject:
    """Keep an attachment. `url` is None if it is larger than the home keeps."""
    try:
        url = await tools.keep_file(attachment.name, attachment.content, attachment.content_type)
    except BodyTooLarge:
        url = None
    return {
        "name": attachment.name,
        "content_type": attachment.content_type,
        "size": len(attachment.content),
        "url": url,
    }


@contextmanager
def _required() -> Generator[None]:
    """Turn a refusal of a command that every server takes into UpstreamFailed."""
    try:
        yield
    except CommandRefused:
        raise UpstreamFailed("The mail server refused to list the folder.", hint="Try again later.") from None
