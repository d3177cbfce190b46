"""Roles of members: what each may use grows with the role, and a key never has more than its member."""

from __future__ import annotations

import itertools

import pytest

from codewords_mcp.errors import Forbidden
from codewords_mcp.runtime.auth.access import Access
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.auth.page_access import require_person
from codewords_mcp.runtime.auth.roles import ROLES, caller_of, is_owner, limit_to_role, may_manage
from codewords_mcp.runtime.model.caller import Caller, HomeMember, Role

pytestmark = pytest.mark.requirement("members:roles")


def member(role: Role) -> HomeMember:
    return HomeMember(f"m-{role}", role, role)


def allowed(access: Access) -> set[tuple[str, str]]:
    return {(rule.kind, rule.name) for rule in TABLE if access.outcome(rule) != "deny"}


def signed_in(caller: Caller, *, page: bool) -> Access:
    """A session: pages know the person, the console's API the caller."""
    if page:
        return Access(None, page_session=True, person=caller)
    return Access(caller, console=True)


@pytest.mark.parametrize("way", ["key", "console", "page"])
def test_each_role_has_what_the_one_below_it_has_and_more(way: str) -> None:
    found = [
        allowed(Access(caller_of(member(role))))
        if way == "key"
        else allowed(signed_in(caller_of(member(role)), page=way == "page"))
        for role in ROLES
    ]
    for less, more in itertools.pairwise(found):
        assert less <= more
    assert len(found[0]) < len(found[1]) < len(found[2])


@pytest.mark.parametrize(
    ("role", "page", "passes"),
    [
        ("viewer", "GET /approvals/{token}", False),
        ("runner", "GET /approvals/{token}", True),
        ("runner", "POST /consents/{token}", False),
        ("runner", "POST /secrets/enter/{nonce}", False),
        ("runner", "POST /connect/{nonce}", False),
        ("author", "POST /consents/{token}", True),
        ("author", "POST /secrets/enter/{nonce}", True),
    ],
)
def test_a_page_binds_who_is_signed_in_by_the_role(role: Role, page: str, passes: bool) -> None:
    access = signed_in(caller_of(member(role)), page=True)
    assert (access.refusal(TABLE.get("http", page)) is None) == passes
    # A session of a key that is no member's reaches every page, as ever.
    assert (
        Access(None, page_session=True, person=Caller("local", "admin")).refusal(TABLE.get("http", page))
        is None
    )


def test_a_viewer_answers_no_question_in_the_console() -> None:
    answer = TABLE.get("http", "POST /questions/{token}")
    assert signed_in(caller_of(member("viewer")), page=False).refusal(answer) is not None
    assert signed_in(caller_of(member("runner")), page=False).refusal(answer) is None


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize(
    "key",
    [
        Caller("local", "admin", "k"),
        Caller("local", "user", "k"),
        Caller("local", "user", "k", scopes=frozenset({"read"})),
        Caller("local", "user", "k", scopes=frozenset({"deploy", "run"})),
        Caller("local", "user", "k", scopes=frozenset({"write"})),
        Caller("local", "user", "k", scopes=frozenset({"audit"})),
        Caller("local", "user", "k", toolsets=frozenset({"runs"})),
    ],
    ids=lambda key: f"{key.kind} {sorted(key.scopes or key.toolsets or ())}",
)
def test_a_members_key_has_what_both_the_key_and_the_role_have(role: Role, key: Caller) -> None:
    both = limit_to_role(key, member(role))
    # The accounts' own rows differ for members on purpose, so they are left out.
    common = {(rule.kind, rule.name) for rule in TABLE if rule.member_scopes is None}
    assert allowed(Access(both)) & common == (
        allowed(Access(key)) & allowed(Access(caller_of(member(role)))) & common
    )
    assert (both.owner, both.key_id, both.toolsets) == (key.owner, key.key_id, key.toolsets)


def test_a_role_is_managed_by_itself_and_above_and_by_no_author() -> None:
    managed = {
        role: [other for other in ROLES if may_manage(caller_of(member(role)), other)] for role in ROLES
    }
    assert managed == {
        "viewer": [], "runner": [], "author": [], "admin": ["viewer", "runner", "author", "admin"], "owner": list(ROLES)
    }  # fmt: skip
    assert all(may_manage(Caller("local", "admin"), role) for role in ROLES)
    assert [role for role in ROLES if is_owner(caller_of(member(role)))] == ["owner"]
    assert is_owner(Caller("local", "admin"))


def test_a_service_account_signs_in_nowhere() -> None:
    account = HomeMember("m-ci", "ci", "author", "service")
    with pytest.raises(Forbidden, match="signs in nowhere"):
        require_person(caller_of(account))
