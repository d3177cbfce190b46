"""Members of the home, and the account of the caller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.members import INVITATION_TTL, require_home
from codewords_mcp.runtime.auth.peers import Peer, uid_of
from codewords_mcp.runtime.auth.roles import higher
from codewords_mcp.runtime.model.caller import Caller, HomeMember, Role, refuse_run
from codewords_mcp.runtime.model.member import CallerInfo, Invitation, MemberInfo, RemovedMember


class MemberApi:
    """Members with roles. Admins manage roles up to their own."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._members = container.members

    async def list(self, caller: Caller) -> list[MemberInfo]:
        """All members, by their names. Admin only."""
        require_home(caller)
        return await self._members.list()

    async def invite(self, caller: Caller, name: str, role: Role) -> Invitation:
        """Add a person and make the one-time link. Admin only. Raises InvalidInput, Forbidden, Conflict."""
        require_home(caller)
        added = await self._members.add(caller, name, role, "person")
        return await self.invite_again(caller, added.id)

    async def add_service(self, caller: Caller, name: str, role: Role) -> MemberInfo:
        """Add a service account, which has keys only. Admin only. Raises InvalidInput, Forbidden, Conflict."""
        require_home(caller)
        return await self._members.add(caller, name, role, "service")

    async def invite_again(self, caller: Caller, reference: str) -> Invitation:
        """Make a new one-time link of a member, which signs a browser in. Admin only. Raises NotFound, Forbidden, Conflict."""
        require_home(caller)
        member, token = await self._members.invite(caller, reference)
        until = member.invited_until or datetime.now(UTC) + timedelta(seconds=INVITATION_TTL)
        return Invitation(member=member, url=f"{self._container.base_url}/join/{token}", expires_at=until)

    async def set_role(self, caller: Caller, reference: str, role: Role) -> MemberInfo:
        """See `Members.set_role`."""
        require_home(caller)
        return await self._members.set_role(caller, reference, role)

    async def remove(self, caller: Caller, reference: str) -> RemovedMember:
        """See `Members.remove`."""
        require_home(caller)
        return await self._members.remove(caller, reference)

    async def peek_invitation(self, token: str) -> MemberInfo:
        """The member of an open invitation. Raises NotFound."""
        return await self._members.peek(token)

    async def join(self, token: str, peer: Peer | None, *, browser: str = "") -> str:
        """Spend an invitation, and return the token of the member's new session. Raises NotFound."""
        caller = await self._members.join(token)
        return await self._container.page_sessions.begin_member(
            caller, peer and uid_of(peer), browser=browser
        )

    async def sign_in(
        self, subject: str, name: str, groups: frozenset[str], peer: Peer | None, *, browser: str = ""
    ) -> str:
        """Sign in a person whom the issuer vouches for, and return the token of the new session.

        The highest role of the groups counts. Raises Forbidden without one.
        """
        settings = self._container.settings
        role = settings.oidc_default_role
        for group in groups:
            role = higher(role, settings.oidc_roles.get(group))
        caller = await self._members.sign_in(subject, name, role)
        return await self._container.page_sessions.begin_member(
            caller, peer and uid_of(peer), browser=browser
        )

    async def by_subject(self, subject: str) -> HomeMember | None:
        """The member who signs in at the issuer as this subject, a digest."""
        return await self._members.by_subject(subject)

    async def describe(self, caller: Caller) -> CallerInfo:
        """The caller's own account and rights."""
        refuse_run(caller, "ask whose key it is")
        member = None if caller.member is None else await self._members.get(caller.member.id)
        return CallerInfo(
            owner=caller.owner,
            kind="admin" if caller.kind == "admin" else "user",
            scopes=None if caller.scopes is None else sorted(caller.scopes),
            toolsets=None if caller.toolsets is None else sorted(caller.toolsets),
            member=member,
        )
