"""Access tokens of an authorization server: what is open by one ends with it, and a member's token is the member."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.integration.auth.forging_issuer import CLIENT, ForgingIssuer
from tests.integration.auth.openings import (
    ENDS_WITHIN,
    KEY,
    MCP,
    Ended,
    Opener,
    client,
    console_stream,
    deploy,
    log,
    mcp_call,
    mcp_stream,
    sse,
    synchronous_run,
    two_replicas,
    websocket,
)
from tests.integration.auth.people import begin, come_back
from tests.support.browser_client import Browser
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.errors import InvalidInput, ServiceNotAvailable
from codewords_mcp.http.middleware.introspection import Introspection
from codewords_mcp.http.middleware.tokens import LEEWAY
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("access:open-tokens")]
AUDIENCE = "https://codewords.example/mcp"
CLIENT_HERE = ("the runtime", "a secret: with % and +")
KINDS: tuple[Callable[[Opener, str], Ended], ...] = (
    mcp_stream, mcp_call, sse, websocket, log, synchronous_run, console_stream,
)  # fmt: skip
"""All at once, by one token: each way to end waits for the clock."""
_names = (f"ann-{number}" for number in itertools.count(1))


def settings_of(issuer: ForgingIssuer) -> dict[str, str]:
    return {
        "api_key": KEY, "oauth_issuer": issuer.issuer, "oauth_audience": AUDIENCE,
        "oauth_introspection_url": f"{issuer.issuer}/introspect", "oauth_client_id": CLIENT_HERE[0],
        "oauth_client_secret": CLIENT_HERE[1], "oidc_issuer": issuer.issuer, "oidc_client_id": CLIENT,
        "oidc_default_role": "author",
    }  # fmt: skip


@pytest.fixture(scope="module")
def issuer() -> Iterator[ForgingIssuer]:
    with ForgingIssuer() as server:
        yield server


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, issuer: ForgingIssuer) -> Iterator[list[str]]:
    home = make_home(tmp_path_factory.mktemp("open tokens") / "home")
    with Door(Settings.model_validate({"home": home, "port": 0, **settings_of(issuer)})) as door:
        yield [door.url]


@pytest.fixture(scope="module")
def two(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, issuer: ForgingIssuer
) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("open tokens of two")
    variables = {f"CODEWORDS_{name.upper()}": value for name, value in settings_of(issuer).items()}
    with two_replicas(folder, postgres, **variables) as urls:
        yield urls


@pytest.fixture(scope="module")
def of_one(one: list[str]) -> list[str]:
    return [deploy(one[0], opens.__name__) for opens in KINDS]


@pytest.fixture(scope="module")
def of_two(two: list[str]) -> list[str]:
    return [deploy(two[0], opens.__name__) for opens in KINDS]


def token_of(issuer: ForgingIssuer, name: str, scope: str = "read run write", seconds: float = 300) -> str:
    return issuer.access_token(AUDIENCE, name, scope, seconds)


class Holder(Opener):
    """A member who signed in at the issuer, with an access token that it gave to a program."""

    def __init__(
        self, urls: list[str], issuer: ForgingIssuer, stack: ExitStack, seconds: float = 300
    ) -> None:
        self.name, self.issuer = next(_names), issuer
        issuer.forge = lambda issuer, claims: issuer.sign(
            {**claims, "sub": self.name, "preferred_username": self.name}
        )
        with Browser() as browser:
            come = come_back(urls[0], browser, state=begin(urls[0], issuer, browser), code="x")
            assert come.status_code == 303, come.text
        home = stack.enter_context(client(urls[-1], KEY))
        super().__init__(urls[0], token_of(issuer, self.name, seconds=seconds), home, stack)

    def take(self, way: str) -> None:
        """Have the right end: by its time, by the issuer, with the member, or with the role."""
        if way == "revoked":
            self.issuer.revoked.add(self.key)
        elif way == "member":
            assert self.home.delete(f"/members/{self.name}").is_success
        elif way == "role":
            assert self.home.put(f"/members/{self.name}", json={"role": "viewer"}).is_success


def check(urls: list[str], workflows: list[str], issuer: ForgingIssuer, way: str) -> None:
    with ExitStack() as stack:
        other = Holder(urls, issuer, stack)
        session = other.initialize()
        # Two runs have to begin before the time is over, also on a busy machine.
        holder = Holder(urls, issuer, stack, seconds=25 - LEEWAY if way == "time" else 300)
        ended = [opens(holder, own) for opens, own in zip(KINDS, workflows, strict=True)]
        holder.take(way)
        for wait in ended:
            wait()
        assert other.ping(session) == 200, "another member's goes on"


@pytest.mark.parametrize("way", ["time", "revoked", "member", "role"])
def test_all_that_is_open_by_a_token_ends_with_it(
    one: list[str], of_one: list[str], issuer: ForgingIssuer, way: str
) -> None:
    check(one, of_one, issuer, way)


@pytest.mark.parametrize("way", ["revoked", "member"])
def test_it_ends_at_every_replica(two: list[str], of_two: list[str], issuer: ForgingIssuer, way: str) -> None:
    check(two, of_two, issuer, way)


def test_a_session_goes_on_with_the_next_token_of_its_client(one: list[str], issuer: ForgingIssuer) -> None:
    with ExitStack() as stack:
        holder = Holder(one, issuer, stack, seconds=4 - LEEWAY)
        session = holder.initialize()
        later = Opener(one[0], token_of(issuer, holder.name), holder.home, stack)
        assert later.ping(session) == 200
        until(lambda: holder.ping(session) == 401, "the first token to end", ENDS_WITHIN)
        assert later.ping(session) == 200
        holder.take("member")
        until(lambda: later.ping(session) != 200, "the session to end with the member", ENDS_WITHIN)


def test_a_members_token_has_what_both_the_role_and_the_token_have(
    one: list[str], issuer: ForgingIssuer
) -> None:
    with ExitStack() as stack:
        holder = Holder(one, issuer, stack)
        me = holder.http.get("/me").json()
        assert (me["owner"], me["member"]["name"], me["scopes"]) == (
            "local", holder.name, ["deploy", "read", "run", "write"],
        )  # fmt: skip
        reader = Opener(one[0], token_of(issuer, holder.name, "read"), holder.home, stack)
        asked = reader.http.post("/deploy", json={})
        assert (asked.status_code, asked.json()["error"]["code"]) == (403, "insufficient_scope")
        assert 'scope="write"' in asked.headers["www-authenticate"], "the issuer can grant it"

        holder.take("role")
        refused = holder.http.post("/deploy", json={})
        assert refused.json()["error"]["code"] == "forbidden", "the issuer can't grant it"
        call = {"name": "cancel_run", "arguments": {"run_id": "run_0"}}
        body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
        session = holder.initialize()
        said = holder.http.post("/mcp", json=body, headers=session)
        assert said.status_code == 200, "no challenge that leads nowhere"
        assert "the role viewer" in said.text
        assert "www-authenticate" not in said.headers
        names = holder.http.post(
            "/mcp", json={"jsonrpc": "2.0", "id": 3, "method": "tools/list"}, headers=session
        ).text
        assert "list_workflows" in names
        assert "deploy_workflow" not in names

        holder.take("member")
        assert holder.http.get("/me").json()["owner"].startswith("oauth-"), (
            "an owner of its own, as any subject"
        )


def test_a_revoked_token_is_refused_and_its_issuer_asked_as_this_client(
    one: list[str], issuer: ForgingIssuer
) -> None:
    token = token_of(issuer, "bob")
    issuer.revoked.add(token)
    with client(one[0], token) as http:
        refused = http.get("/workflows")
        asked = len(issuer.questions)
        assert http.get("/workflows").status_code == 401
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert len(issuer.questions) == asked, "an answer counts for a while"
    basic = base64.b64decode(issuer.questions[-1].removeprefix("Basic ")).decode()
    assert basic == "the+runtime:a+secret%3A+with+%25+and+%2B"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"active": True}, True),
        ({"active": False}, False),
        ({"active": "yes"}, None),
        ({"aktiv": True}, None),
    ],
)
async def test_only_an_answer_that_says_so_is_one(
    issuer: ForgingIssuer, answer: dict[str, Any], said: bool | None
) -> None:
    introspection = Introspection(Settings.model_validate(settings_of(issuer)))
    issuer.introspected = answer
    try:
        if said is not None:
            assert await introspection.is_active("x") is said
            return
        with pytest.raises(ServiceNotAvailable, match="cannot be asked now"):
            await introspection.is_active("x")
        asked = len(issuer.questions)
        with pytest.raises(ServiceNotAvailable):
            await introspection.is_active("y")
        assert len(issuer.questions) == asked, "an outage makes nobody wait for it twice"
    finally:
        issuer.introspected = None


def test_an_issuer_that_says_nothing_lets_nobody_in_and_puts_nobody_out(
    one: list[str], issuer: ForgingIssuer
) -> None:
    with ExitStack() as stack:
        holder = Holder(one, issuer, stack)
        session = holder.initialize()
        asked = len(issuer.questions)
        issuer.introspected = {"error": "server_error"}
        try:
            until(lambda: len(issuer.questions) > asked, "the look at what is open to ask", ENDS_WITHIN)
            late = Opener(one[0], token_of(issuer, holder.name), holder.home, stack)
            refused = late.http.post("/mcp", json={}, headers=MCP)
            assert refused.json()["error"]["code"] == "service_not_available"
        finally:
            issuer.introspected = None
        until(lambda: holder.ping(session) == 200, "the issuer to answer again", ENDS_WITHIN)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"oauth_introspection_url": "http://issuer.example/introspect"}, "https"),
        ({"oauth_client_secret": None}, "CODEWORDS_OAUTH_CLIENT_SECRET"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    issuer: ForgingIssuer, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        Introspection(Settings.model_validate({**settings_of(issuer), **wrong}))
