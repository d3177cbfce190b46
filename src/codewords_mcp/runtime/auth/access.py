"""Decide whether a caller may use an operation: the rules of operations, and the kinds of callers.

Both front doors enforce these rules, and `docs/reference/access.md` is generated from them. The
rows are in `access_table.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from codewords_mcp.errors import CodewordsError, Forbidden, InsufficientScope, Unauthenticated
from codewords_mcp.errors.remedies import CREATE_KEY, SIGN_IN, Remedy, RemedyAction
from codewords_mcp.runtime.auth.roles import ROLES, caller_of, is_owner, may_request
from codewords_mcp.runtime.model.caller import Caller, HomeMember, Scope

Kind = Literal[
    "http", "websocket", "method", "tool", "published", "resource", "prompt", "completion", "subscription", "service"
]  # fmt: skip
Level = Literal["open", "page", "run", "user", "admin", "owner"]
"""The minimum to use an operation: no key, a person's page session, or the key of a run, user,
admin or owner.
"""
Effect = Literal["reads", "writes"]
Listener = Literal["public", "sandbox"]
Outcome = Literal["allow", "deny", "filtered"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The callers that may use one operation.

    All `scopes` are needed. `toolset` binds an operation of MCP. An HTTP rule has none, and a key
    of toolsets does not reach it, except the `transport` that carries MCP. `effect` "writes" closes
    it to read-only connections. `own_run`: it concerns one run, and a run's key reaches its own run
    and descendants only. `filtered`: a list without the items that the caller may not use.
    `by_session`: a page that both a key and a person's session open. `by_person`: only the console may use it, by its
    person's session, and no key alone. `sandbox`: the sandbox
    listener serves it although it needs no run's key. That listener also serves all that a run's
    key may use, and nothing else. `member_scopes`: the scopes that a member of the home needs
    instead, since it concerns the member's own account or answers.
    """

    kind: Kind
    name: str
    level: Level
    scopes: tuple[Scope, ...] = ()
    effect: Effect = "reads"
    toolset: str | None = None
    transport: bool = False
    own_run: bool = False
    filtered: bool = False
    by_session: bool = False
    by_person: bool = False
    sandbox: bool = False
    member_scopes: tuple[Scope, ...] | None = None

    @property
    def in_sandbox(self) -> bool:
        """Whether the sandbox listener serves it."""
        return self.level == "run" or self.sandbox


class Access(NamedTuple):
    """A use of an operation: its caller (None: without a key), its listener, and its restrictions.

    `toolsets` must all hold; each is a set of names. `page_session`: a person signed in to the
    page. `console`: the console asks by its person's session, with the rights of the caller.
    `person`: the person of a page's session, whose scopes bind on pages as elsewhere.
    """

    caller: Caller | None
    listener: Listener = "public"
    read_only: bool = False
    toolsets: tuple[frozenset[str], ...] = ()
    page_session: bool = False
    console: bool = False
    person: Caller | None = None

    def narrowed_to(self) -> tuple[frozenset[str], ...]:
        """All sets of toolsets that must hold, the caller's own included."""
        if self.caller is None or self.caller.toolsets is None:
            return self.toolsets
        return (*self.toolsets, self.caller.toolsets)

    def refusal(self, rule: Rule) -> CodewordsError | None:
        """The error that says why this may not be done; None where it may."""
        # The level first: its message tells a caller without a key to send one, which the
        # others would hide.
        return _by_level(self, rule) or _by_toolset(self, rule) or _by_scope(self, rule)

    def require(self, rule: Rule) -> None:
        """Raise Unauthenticated, Forbidden or InsufficientScope unless this may be done."""
        if refused := self.refusal(rule):
            raise refused

    def shows(self, rule: Rule) -> bool:
        """Whether a list names the operation.

        A token can obtain more scopes, so its list includes operations that need them.
        """
        if self.caller is not None and self.caller.by_token:
            member = self.caller.member
            scopes = None if member is None else ROLES[member.role].scopes
            return self._replace(caller=replace(self.caller, scopes=scopes)).refusal(rule) is None
        return self.refusal(rule) is None

    def outcome(self, rule: Rule, *, foreign_run: bool = False) -> Outcome:
        """Return the cell of the table.

        `foreign_run`: a run's key requests a run that is neither its own nor a descendant.
        """
        if self.refusal(rule) is not None:
            return "deny"

        caller = self.caller
        if foreign_run and rule.own_run and caller is not None and caller.kind == "run":
            return "deny"

        restricted = caller is not None and (
            caller.kind == "run" or caller.scopes is not None or caller.toolsets is not None
        )
        if rule.filtered and restricted:
            return "filtered"

        return "allow"


def _by_level(access: Access, rule: Rule) -> CodewordsError | None:
    caller = access.caller
    # An allow-list for sandboxes, before any look at the key: a stolen user key inside of a
    # sandbox opens nothing.
    if access.listener == "sandbox" and rule.kind in {"http", "websocket"} and not rule.in_sandbox:
        return Forbidden(
            "A running workflow may not use this route of the runtime.",
            hint="It may call workflows, services and models, and use its own files and logs. Do anything else with a "
            "person's key, outside of the workflow.",
        )
    if rule.level == "open":
        return None
    if access.page_session and (rule.level == "page" or rule.by_session):
        return None
    if rule.level == "page":
        return Unauthenticated("This page is for a person who is signed in.", remedy=SIGN_IN)
    if caller is None:
        return Unauthenticated("This request carries no key.")
    # A run's key that leaks is worthless outside, and a person's key is not accepted inside.
    if (caller.kind == "run") != (access.listener == "sandbox"):
        return Unauthenticated(
            "A run's key is valid inside the sandbox of that run, and nothing else is valid there."
        )
    if caller.kind == "run" and rule.level != "run":
        return Forbidden(
            f"The key of a run may not use {_subject(rule)}: it runs what its workflow may run, and looks at its own runs.",
            hint="Do this with a user's key, from outside of the workflow.",
        )
    if rule.level in {"admin", "owner"} and caller.kind != "admin":
        return Forbidden(
            "This needs an admin key.",
            hint="The home's own key is one.",
            remedy=Remedy(RemedyAction.LIST_KEYS),
        )
    if rule.level == "owner" and not is_owner(caller):
        return Forbidden("This needs an owner of the home.", hint="The list of members names the owners.")
    if rule.by_person and not access.console:
        return Forbidden(
            "A person answers this, signed in to the console; a key is no answer.",
            hint="Answer it in the inbox of the console.",
        )

    return None


def _by_toolset(access: Access, rule: Rule) -> CodewordsError | None:
    if rule.level in {"open", "page"} or rule.transport:
        return None
    # A toolset restricts MCP. The HTTP API has no toolsets, so a key that is restricted to some
    # must not reach it at all.
    if rule.toolset is None:
        if (
            rule.kind in {"http", "websocket"}
            and access.caller is not None
            and access.caller.toolsets is not None
        ):
            return Forbidden(
                "This key is for some toolsets over MCP, not for the HTTP API.",
                hint="A key for all toolsets serves both.",
                remedy=CREATE_KEY,
            )
        return None
    if access.read_only and rule.effect == "writes":
        return Forbidden(
            f"This connection is read-only; {rule.name} changes something.",
            hint="The user can connect without --read-only.",
        )
    # All sets must contain it: a connection can narrow its key and never widen it.
    if any(rule.toolset not in names for names in access.narrowed_to()):
        return Forbidden(
            f"{rule.name} is of the toolset {rule.toolset}, which this connection or its key leaves out.",
            hint=f"The user can add {rule.toolset} to --toolsets, or use another key.",
        )

    return None


def _by_scope(access: Access, rule: Rule) -> CodewordsError | None:
    caller = access.person if rule.level == "page" else access.caller
    if caller is None or rule.level == "open":
        return None

    scopes = rule.scopes
    if caller.member is not None and rule.member_scopes is not None:
        scopes = rule.member_scopes
    missing: list[Scope] = [scope for scope in scopes if not caller.can(scope)]
    if not missing:
        return None
    if caller.member is not None and not all(may_request(caller, scope) for scope in missing):
        return Forbidden(
            f"This needs the scope {' and '.join(missing)}, which the role {caller.member.role} or this key does not have.",
            hint="An admin of the home can change the role.",
        )
    if caller.by_token:
        # Authorization servers grant no `deploy`, which `write` includes.
        missing = ["write" if scope == "deploy" else scope for scope in missing]
    if rule.toolset is None:
        return InsufficientScope(" ".join(missing), by_token=caller.by_token)

    missing_scopes = " and ".join(missing)
    return Forbidden(
        f"{rule.name} needs the scope {missing_scopes}, which this key does not have.",
        remedy=Remedy(RemedyAction.CREATE_SCOPED_KEY, {"scope": ",".join(missing)}),
    )


def _subject(rule: Rule) -> str:
    if rule.toolset is not None:
        return rule.name
    return "this route"


@dataclass(frozen=True, slots=True)
class CallerKind:
    """A kind of caller: a column of the table."""

    name: str
    description: str
    access: Access
    foreign_run: bool = False


def caller_kinds() -> tuple[CallerKind, ...]:
    """Every kind of caller that the table distinguishes, with an example of each."""
    return (
        CallerKind("anonymous", "No key.", Access(None)),
        CallerKind("page session", "A person who signed in to the runtime's pages; no key.", Access(None, page_session=True)),
        CallerKind(
            "console", "The console, by the session of a person who signed in with a user's key.",
            Access(Caller("ann", "user"), console=True),
        ),
        CallerKind("admin", "The home's own key, or another admin key without scopes.", Access(Caller("local", "admin"))),
        *(
            CallerKind(
                f"member: {role}", f"A member's key with the role {role}. {rights.description}",
                Access(caller_of(HomeMember(f"m-{role}", role, role))),
            )
            for role, rights in ROLES.items()
        ),
        CallerKind("user", "A user's key without scopes.", Access(Caller("ann", "user"))),
        *(
            CallerKind(
                f"user: {', '.join(scopes)}", f"A user's key with the scopes {', '.join(scopes)}.",
                Access(Caller("ann", "user", scopes=frozenset(scopes))),
            )
            for scopes in _SCOPE_SETS
        ),
        CallerKind(
            "toolset", "A key of the toolset runs.", Access(Caller("ann", "user", toolsets=frozenset({"runs"})))
        ),
        CallerKind(
            "published", "A key with the scope run, of a toolset of published workflows.",
            Access(Caller("ann", "user", scopes=frozenset[Scope]({"run"}), toolsets=frozenset({PUBLISHED_EXAMPLE}))),
        ),
        CallerKind(
            "token", "An access token with the scopes read, run and write.",
            Access(Caller("ann", "user", scopes=frozenset[Scope]({"read", "run", "write"}), by_token=True)),
        ),
        CallerKind(
            "token: none", "An access token without scopes.",
            Access(Caller("ann", "user", scopes=frozenset[Scope](), by_token=True)),
        ),
        CallerKind("sandbox", "A request from inside a sandbox without a key.", Access(None, listener="sandbox")),
        CallerKind("run: outside", "A run's key outside of its sandbox.", Access(_RUN)),
        CallerKind("run", "A run's key; its own run and descendants.", Access(_RUN, listener="sandbox")),
        CallerKind(
            "run: foreign", "A run's key that asks for another run of its owner.",
            Access(_RUN, listener="sandbox"), foreign_run=True,
        ),
    )  # fmt: skip


PUBLISHED_EXAMPLE = "sales"
"""The toolset of the published workflow that stands for all."""
_RUN = Caller("ann", "run", run_id="run-1")
_SCOPE_SETS: tuple[tuple[Scope, ...], ...] = (
    ("read",),
    ("run",),
    ("write",),
    ("read", "run"),
    ("read", "write"),
    ("run", "write"),
    ("read", "run", "write"),
    ("read", "run", "deploy"),
    ("audit",),
    ("metrics",),
)
