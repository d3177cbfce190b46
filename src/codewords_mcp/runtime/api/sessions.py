"""Browser sessions, sign-in links, and the pages that wait for a person."""

from __future__ import annotations

from urllib.parse import urlsplit

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import SIGN_IN
from codewords_mcp.runtime.api.approvals import to_page
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.one_time_links import OneTimeLink
from codewords_mcp.runtime.auth.page_access import checked_target, require_person
from codewords_mcp.runtime.auth.peers import Peer, is_another_users, uid_of
from codewords_mcp.runtime.auth.sessions import (
    PageOpening,
    SignedIn,
    SignIn,
)
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, refuse_run
from codewords_mcp.runtime.model.origin_labels import label_of
from codewords_mcp.runtime.model.session import PageSession, WaitingPage
from codewords_mcp.runtime.store.clock import to_datetime

_PATHS = {
    "consent": "/consents/",
    "secret": "/secrets/enter/",
    "connect": "/connect/",
    "browser": "/browser/pair/",
}


class SessionApi:
    """Browser sessions, sign-in links and the pages that wait for a person."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def find(self, token: str, peer: Peer | None = None) -> SignedIn | None:
        """A browser session by its token. None if it has ended, or if another user of this machine sends its token.

        `peer`: the two ends of the connection.
        """
        return await self._container.page_sessions.find(token, peer and uid_of(peer))

    async def begin(self, key: str, peer: Peer | None = None, *, address: str = "", browser: str = "") -> str:
        """Start a session for the holder of a key and return its token. Wrong keys are counted by `address`.

        `browser` is what lists name it. Raises Unauthenticated, Forbidden, TooBusy.
        """
        return await self._container.page_sessions.begin(
            key, peer and uid_of(peer), address=address, browser=browser
        )

    async def note_use(self, session_id: str) -> None:
        """Count a page that is open as a use of its session, which does not end for idleness then."""
        await self._container.page_sessions.note_use(session_id)

    async def end(self, token: str) -> None:
        """Sign out."""
        await self._container.page_sessions.end(token)

    async def list(self, caller: Caller, session_id: str = "") -> list[PageSession]:
        """List the browsers that are signed in, the newest first: the caller's own, and for an admin all of the owner.

        That of `session_id` is marked.
        """
        refuse_run(caller, "see who is signed in")
        found = await self._container.page_sessions.list(caller.owner, session_id, member=_only_of(caller))
        if not any(session.member for session in found):
            return found

        names = {member.id: member.name for member in await self._container.members.list()}
        return [session.model_copy(update={"member": names.get(session.member or "")}) for session in found]

    async def revoke(self, caller: Caller, session_id: str) -> None:
        """Sign a browser out. Raises NotFound."""
        refuse_run(caller, "sign somebody out")
        await self._container.page_sessions.revoke(caller.owner, session_id, member=_only_of(caller))

    async def create_sign_in(self, caller: Caller, page: str = "") -> str:
        """A one-time address that signs the caller's browser in and leads to a page: a path, or the token of what waits.

        Raises NotFound, InvalidInput, Forbidden, InsufficientScope.
        """
        require_person(caller)
        path = page or "/"

        if not path.startswith("/"):
            path = next(
                (
                    waiting_page.path
                    for waiting_page in await self.waiting_pages(caller)
                    if waiting_page.path.endswith(f"/{page}")
                ),
                "",
            )
            if not path:
                raise NotFound("Nothing waits under this token.", remedy=SIGN_IN)

        token = await self._container.page_sessions.create_sign_in(caller, path)
        return f"{self._container.base_url}/sign-in/{token}"

    async def peek_sign_in(self, token: str) -> SignIn:
        """Read the person that an address signs in, and the path that it leads to. Raises NotFound."""
        return await self._container.page_sessions.peek_sign_in(token)

    async def redeem_sign_in(self, token: str, peer: Peer | None, *, browser: str = "") -> tuple[str, SignIn]:
        """Spend a sign-in address. Returns (the token of a new session, where the address leads).

        Raises NotFound, also if the connection comes from a process of another user of this machine.
        That includes a proxy under another user, since anybody may use it.
        """
        _refuse_another_users(peer)
        return await self._container.page_sessions.redeem_sign_in(
            token, peer and uid_of(peer), browser=browser
        )

    async def create_opening(
        self, caller: Caller, service_id: str, path: str, *, session_id: str | None
    ) -> tuple[str, str]:
        """Make a one-time address of a workflow's own page: (the label of its origin, the token).

        Raises NotFound, InvalidInput, Forbidden, InsufficientScope.
        """
        refuse_run(caller, "open a workflow's page")
        # Only a person's key does this, so what others may not know of is not found here either.
        servable = await self._container.catalog.find(caller, service_id)
        label = label_of(servable.service_id)
        if label is None:
            raise NotFound(
                "This workflow has no page of its own.", hint="Deploy it again under another name."
            )
        token = await self._container.page_sessions.create_opening(
            caller, servable.service_id, checked_target(path), session_id
        )
        return label, token

    async def peek_opening(self, token: str, service_id: str) -> PageOpening:
        """Read what a one-time address of a workflow's page is for. Raises NotFound."""
        return await self._container.page_sessions.peek_opening(token, service_id)

    async def redeem_opening(
        self, token: str, service_id: str, peer: Peer | None, *, browser: str = ""
    ) -> tuple[str, PageOpening]:
        """Spend such an address: (the token for the workflow's origin, what it was for). Raises NotFound."""
        _refuse_another_users(peer)
        return await self._container.page_sessions.redeem_opening(
            token, service_id, peer and uid_of(peer), browser=browser
        )

    async def find_page(self, token: str, service_id: str, peer: Peer | None = None) -> SignedIn | None:
        """The session by which a browser uses a workflow's own page; None if it has ended or is another workflow's."""
        return await self._container.page_sessions.find_page(token, service_id, peer and uid_of(peer))

    async def waiting_pages(self, caller: Caller) -> list[WaitingPage]:
        """The pages that wait for the caller, the newest first."""
        links = [_waiting(link) for link in await self._container.secret_links.waiting(caller.owner)]
        questions = [
            to_page(wait) for wait in await self._container.waits.answers.open_questions(caller.owner)
        ]
        return sorted([*links, *questions], key=lambda page: page.created_at, reverse=True)

    @property
    def opens_pages(self) -> bool:
        """Whether the runtime can open the browser of the person at its desktop."""
        return self._container.desktop.available and _is_loopback(self._container.base_url)

    async def open_page(self, owner: str, url: str) -> bool:
        """Open a page in the browser of the person at the runtime's desktop, signed in; whether that was done.

        That person is the home's owner, so a page of another owner's is not opened.
        """
        # The desktop's person is the home's owner: another owner's page isn't theirs to answer.
        if owner != HOME_OWNER or not self.opens_pages or not self._container.desktop.take_turn():
            return False
        person = Caller(HOME_OWNER, "admin")
        # Only the path of the page: the address that is opened is always this runtime's own.
        return await self._container.desktop.open(await self.create_sign_in(person, urlsplit(url).path))

    async def peek_login(self, link: str) -> tuple[str, str]:
        """(what a sign-in link is for, whose it is, most of it hidden). Raises NotFound."""
        return await self._container.logins.peek(link)

    async def follow_login(self, link: str) -> str:
        """Spend a sign-in link; where its person goes on. Raises NotFound."""
        return await self._container.logins.follow(link)


def _only_of(caller: Caller) -> str | None:
    """The member whose sessions the caller sees; None where that is everybody of the owner."""
    if caller.member is None or caller.kind == "admin":
        return None
    return caller.member.id


def _refuse_another_users(peer: Peer | None) -> None:
    # The address was in the process list when a browser was started with it.
    if peer is not None and is_another_users(peer):
        raise NotFound(
            "This sign-in address came by a process of another user of this machine.",
            hint="Open one yourself, or type an API key on the page.",
            remedy=SIGN_IN,
        )


def _waiting(link: OneTimeLink) -> WaitingPage:
    kind = link.row["kind"]
    match kind:
        case "consent":
            title = str(link.data["wording"]["title"])
        case "secret":
            title = f"Type the value of {link.subject}"
        case "connect":
            title = f"Connect {link.data['app']}"
        case _:
            title = "Pair a Chrome"

    times = {name: to_datetime(link.row[name]) for name in ("created_at", "expires_at")}
    return WaitingPage(kind=kind, title=title, path=f"{_PATHS[kind]}{link.token}", **times)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
