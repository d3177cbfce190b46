"""Secrets of an owner, and the master key."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, cut_page, parse_name
from codewords_mcp.runtime.auth.one_time_links import OneTimeLink, require_own
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run, require_admin
from codewords_mcp.runtime.model.secret import KeyRotation, SecretForm, SecretInfo
from codewords_mcp.runtime.secrets.names import check_name, check_value
from codewords_mcp.runtime.secrets.rules import HostRule, make_rule, read_rule
from codewords_mcp.runtime.store.clock import now, to_micros


class SecretApi:
    """Secrets. No method returns a value."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def delete(self, caller: Caller, name: str) -> None:
        """Delete a secret. Raises NotFound."""
        refuse_run(caller, "delete secrets")
        await self._container.secrets.delete(caller.owner, name)

    async def rotate_master_key(self, caller: Caller) -> KeyRotation:
        """Encrypt every secret with a new master key, or go on with that. Admin only. Raises InvalidInput, StorageFailed."""
        require_admin(caller, "rotate the master key")
        container = self._container
        # A new key in this home's file would be unknown to the other replicas, whose secrets
        # would then be unreadable.
        if container.database.shared and container.keys.current.source != "environment":
            raise InvalidInput(
                "This database is shared, and each of its runtimes needs the new key before anything is encrypted with it.",
                hint="Start each of them with a new key in CODEWORDS_MASTER_KEY (`openssl rand -hex 32`) and what is in the"
                " home's master.key in CODEWORDS_MASTER_KEY_PREVIOUS, then run this again.",
            )

        count, old_key = await container.secrets.rotate(container.keys, container.replica_ttl)
        return KeyRotation(secrets=count, key_id=container.keys.current.id, old_key=old_key)

    def describe_master_key(self) -> dict[str, Any]:
        """For `doctor`: where the key comes from, and what a person should know."""
        keys = self._container.keys
        notes = [note for key in (keys.current, *keys.older) for note in key.notes]
        if keys.unfinished:
            notes.append(
                "A change of the master key was not finished; rotate the key again to go on with it."
            )
        return {"master_key": keys.current.source, "notes": notes}

    async def create_link(self, caller: Caller, name: str, *, hosts: Collection[str] = ()) -> str:
        """A one-time URL of a page on which a person types the value, and sees and may change where it goes; lives 10
        minutes. `hosts` is what the page proposes. Raises InvalidInput.
        """
        refuse_run(caller, "set secrets")
        proposed = make_rule(hosts) if hosts else None
        data = {"rule": None if proposed is None else proposed.as_json()}
        nonce = await self._container.secret_links.ensure(caller.owner, check_name(name), data)
        return f"{self._container.base_url}/secrets/enter/{nonce}"

    async def peek_link(self, caller: Caller, nonce: str) -> SecretForm:
        """Read the form that the page shows, without spending the nonce. Raises NotFound, Forbidden for another owner's."""
        link = await self._link(caller, nonce)
        rule = read_rule(link.data["rule"]) or await self._container.secrets.rule_of(link.owner, link.subject)
        return SecretForm(
            name=link.subject,
            users=await self._container.secrets.uses.used_by(link.owner, link.subject),
            hosts=rule.names if rule else [],
            places=list(rule.places) if rule else [],
        )

    async def redeem_link(
        self, caller: Caller, nonce: str, value: str, *, hosts: Collection[str] | None = None
    ) -> SecretInfo:
        """Store what was typed and spend the nonce. `hosts` as the person left them: none means a plain variable; None, that
        the form did not say. Raises NotFound, Forbidden, InvalidInput (the nonce stays valid).
        """
        refuse_run(caller, "set secrets")
        form = await self.peek_link(caller, nonce)
        chosen = form.hosts if hosts is None else hosts

        if set(chosen) == set(form.hosts):
            # The form shows no places, so those of the rule stay unless the hosts were changed.
            places = form.places
        else:
            places = ()

        rule = _requested_rule(chosen, places, plain=not chosen)
        # Before the link is spent: a person who mistyped can try again on the same page.
        checked = check_value(value)
        link = await self._link(caller, nonce)
        if not await self._container.secret_links.spend(link):
            raise _gone()

        return await self._container.secrets.set(link.owner, link.subject, checked, rule)

    async def list(self, caller: Caller) -> list[SecretInfo]:
        """List names, times and rules, never values."""
        refuse_run(caller, "list secrets")
        return await self._container.secrets.list(caller.owner)

    async def page(self, caller: Caller, *, limit: int, cursor: str | None = None) -> Page[SecretInfo]:
        """A page of the same list, by name. Raises InvalidInput."""
        refuse_run(caller, "list secrets")
        found = await self._container.secrets.list(
            caller.owner, limit=check_limit(limit) + 1, after=parse_name(cursor)
        )
        return cut_page(found, limit, lambda secret: secret.name)

    async def find(self, caller: Caller, name: str) -> SecretInfo | None:
        """Name, times and rule of one secret; None if there is none."""
        refuse_run(caller, "look up secrets")
        return await self._container.secrets.find(caller.owner, name)

    async def set(
        self,
        caller: Caller,
        name: str,
        value: str,
        *,
        hosts: Collection[str] = (),
        places: Collection[str] = (),
        plain: bool = False,
        expires_at: datetime | None = None,
    ) -> SecretInfo:
        """Store or replace a value, and with it where it may go: to `hosts`, in these `places` of a request; or `plain`, to
        the workflow itself. Without either the rule stays as it was, or is what a well-known name brings.

        `expires_at`: when its issuer ends the value, which an alert tells before. Raises InvalidInput for a bad name
        (A-Z, 0-9, _; reserved names), rule, time, or value (empty, too long, no text).
        """
        refuse_run(caller, "set secrets")
        rule = _requested_rule(hosts, places, plain=plain)
        stored = await self._container.secrets.set(caller.owner, name, value, rule, _end(expires_at))
        # A page that waits for this value waits no longer.
        await self._container.secret_links.close(caller.owner, name)
        return stored

    async def refer(
        self,
        caller: Caller,
        name: str,
        source: str,
        *,
        hosts: Collection[str] = (),
        places: Collection[str] = (),
        plain: bool = False,
        expires_at: datetime | None = None,
    ) -> SecretInfo:
        """Store or replace a secret that is kept elsewhere, at a reference such as `vault://kv/app#token`; the rest as `set`.

        Its value is read once, and again at each use. Raises InvalidInput, also where the home does not allow the reference;
        UpstreamFailed, UpstreamTimedOut where it cannot be read.
        """
        refuse_run(caller, "set secrets")
        rule = _requested_rule(hosts, places, plain=plain)
        stored = await self._container.secrets.refer(caller.owner, name, source, rule, _end(expires_at))
        await self._container.secret_links.close(caller.owner, name)
        return stored

    async def _link(self, caller: Caller, nonce: str) -> OneTimeLink:
        link = await self._container.secret_links.find(nonce)
        require_own(link, caller.owner)
        if link is None:
            raise _gone()
        return link


def _end(expires_at: datetime | None) -> int | None:
    """The end of a value in microseconds. Raises InvalidInput for one that has passed, or has no zone."""
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise InvalidInput("`expires_at` has no zone.", hint="Write it as 2027-01-31T00:00:00Z.")
    end = to_micros(expires_at)
    if end <= now():
        raise InvalidInput("`expires_at` has passed already.", hint="Store a value that is good for longer.")
    return end


def _gone() -> NotFound:
    return NotFound(
        "This link is not valid: it was used, or has expired.",
        hint="Ask for a new one.",
    )


def _requested_rule(
    hosts: Collection[str], places: Collection[str], *, plain: bool
) -> HostRule | Literal["as-before"] | None:
    if plain and (hosts or places):
        raise InvalidInput("A secret has a host rule or is a plain variable, not both.")
    if places and not hosts:
        raise InvalidInput("A place in a request belongs to a host rule.", hint="Name the hosts too.")
    if hosts:
        return make_rule(hosts, places)
    if plain:
        return None
    return "as-before"
