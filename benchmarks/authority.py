"""What do authority checks add to a synchronous run?

All that one run adds which calls a library service and a model: its authority is built, looked up by its key, asked for two
calls, a target and the hosts of its sandbox, and forgotten. Beside it the same calls of a person, whose authority answers
without a check, so that the difference is the checks. Then the largest manifest that the question shows, for growth.

Then what it costs to know who asks for the run: a member by a session, by a key, and by a key on a database that other
processes use, each with the check of the role; beside it the same of a key that is no member's. And all that a session adds to
a run beside the home's own key, with what ends the request where the session ends.

    python benchmarks/authority.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from _bench import Options, Question, interleave, options, report

from codewords_mcp.runtime.api.open_requests import OpenRequests
from codewords_mcp.runtime.auth.access import Access
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.auth.authority import CallTarget, Permissions
from codewords_mcp.runtime.auth.members import Members
from codewords_mcp.runtime.auth.sessions import PageSessions
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller
from codewords_mcp.runtime.model.events import EventBus
from codewords_mcp.runtime.model.manifest import Manifest, StoredSecret
from codewords_mcp.runtime.store.database import Database

AT_ONCE = 1000
USUAL = Manifest(
    hosts=("api.stripe.com", "hooks.slack.com"),
    models=("openai",),
    services=("firecrawl", "send_email"),
    schedules=("0 9 * * *",),
    secrets=(StoredSecret(name="STRIPE_API_KEY", hosts=("api.stripe.com",)),),
)
LARGE = Manifest(
    hosts=(*(f"api{n}.some-vendor.example.com" for n in range(200)), "api.stripe.com"),
    models=("openai",),
    services=("firecrawl",),
    workflows=tuple(f"a_longer_name_{n}_0a1b2c3d" for n in range(200)),
)
RUN, PERSON = Caller("ann", "run", run_id="r1"), Caller("ann", "user")


def checked(manifest: Manifest) -> float:
    """Milliseconds of one run's checks, the mean of many."""
    permissions, authorities = Permissions.of("flow_0a1b2c3d", "ann", manifest), Authorities()
    began = time.perf_counter()
    for _ in range(AT_ONCE):
        authorities.begin("r1", "ann", permissions, manifest.hosts)
        authority = authorities.of(RUN)
        authority.require_call("firecrawl")
        authority.require_call("openai")
        authority.require_target("firecrawl", CallTarget("host", "api.stripe.com"))
        assert authority.hosts_of("firecrawl") == manifest.hosts
        authorities.end("r1")
    return (time.perf_counter() - began) * 1000 / AT_ONCE


def unchecked() -> float:
    """Milliseconds of the same calls of a person."""
    authorities = Authorities()
    began = time.perf_counter()
    for _ in range(AT_ONCE):
        authority = authorities.of(PERSON)
        authority.require_call("firecrawl")
        authority.require_call("openai")
        authority.require_target("firecrawl", CallTarget("host", "api.stripe.com"))
        assert authority.hosts_of("firecrawl") is None
    return (time.perf_counter() - began) * 1000 / AT_ONCE


REQUESTS = 200
RUN_ROUTE = TABLE.get("http", "* /run/{service_id}/{path}")
HOME = Caller(HOME_OWNER, "admin")


async def people(chosen: Options) -> list[Question]:
    """The questions of who asks, on SQLite in a folder of its own."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder))
        keyring = ApiKeys(database, Path(folder), "cwk-home")
        sessions, members = PageSessions(database, keyring), Members(database, keyring)
        plain, _ = await keyring.create(owner=HOME_OWNER, kind="user", one_time=False, expires_in=None)
        plain_read, _ = await keyring.create(owner=HOME_OWNER, kind="user", one_time=False, expires_in=9e6)
        plain_session = await sessions.begin(plain)
        member = await members.add(HOME, "grace", "runner", "person")
        _, invitation = await members.invite(HOME, member.id)
        session = await sessions.begin_member(await members.join(invitation))
        key, _ = await keyring.create(
            owner=HOME_OWNER, kind="user", one_time=False, expires_in=None, member=member.id
        )
        # A key with an end is never remembered, as none is on a database that other processes use.
        read, _ = await keyring.create(
            owner=HOME_OWNER, kind="user", one_time=False, expires_in=9e6, member=member.id
        )

        async def by_session(token: str) -> Caller:
            found = await sessions.find(token)
            assert found is not None
            return found.caller

        def measure(ask: Callable[[], Awaitable[Caller]]) -> Callable[[], float]:
            async def many() -> float:
                # Processor time, the store's threads included: this machine may be busy.
                began = time.process_time()
                for _ in range(REQUESTS):
                    Access(await ask()).require(RUN_ROUTE)
                return (time.process_time() - began) * 1000 / REQUESTS

            return lambda: asyncio.run_coroutine_threadsafe(many(), loop).result()

        bus = EventBus()
        open_requests = OpenRequests(keyring, sessions, bus)

        async def while_open() -> Caller:
            found = await sessions.find(session)
            assert found is not None
            async with open_requests.admit(found.caller, found.id, open_requests.changed):
                return found.caller

        question = Question(
            "a member's session is found, judged, and its request looked after",
            "the home's own key, which nobody can take away", "ms", None, adds_at_most=0.2,
        )  # fmt: skip
        ours, peer = measure(while_open), measure(lambda: keyring.authenticate("cwk-home"))
        await asyncio.to_thread(interleave, question, ours, peer, chosen.runs)
        questions = [question]
        for name, ask, plainly in (
            ("session", lambda: by_session(session), lambda: by_session(plain_session)),
            ("key", lambda: keyring.authenticate(key), lambda: keyring.authenticate(plain)),
            (
                "key that the store is asked for",
                lambda: keyring.authenticate(read),
                lambda: keyring.authenticate(plain_read),
            ),
        ):
            question = Question(
                f"a member's {name} is found and judged", "that of no member", "ms", None, adds_at_most=0.2
            )
            await asyncio.to_thread(interleave, question, measure(ask), measure(plainly), chosen.runs)
            questions.append(question)
        database.close()
    return questions


def main() -> int:
    chosen = options(__doc__ or "", runs=40, quick_runs=15)
    questions: list[Question] = []
    for name, manifest in (("a usual manifest", USUAL), ("200 hosts and 200 workflows", LARGE)):
        question = Question(
            f"all checks of one run, {name}", "the same calls without checks", "ms", None, at_most=0.1
        )
        interleave(question, lambda manifest=manifest: checked(manifest), unchecked, chosen.runs)
        questions.append(question)
    return report([*questions, *asyncio.run(people(chosen))], chosen)


if __name__ == "__main__":
    sys.exit(main())
