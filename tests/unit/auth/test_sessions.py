"""Sessions of browsers: their tokens are replaced, and they end with time, without use, and when a copy is used."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.support.databases import open_database

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.auth import session_state
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.sessions import SESSION_TTL, PageSessions, SignedIn
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store.clock import now

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("pages:sessions-end")]
KEY = "cwk-admin-of-these-tests-0123456789abcdef"
PERSON = Caller("local", "admin")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.at = now()

    def __call__(self) -> int:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += int(seconds * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Generator[PageSessions]:
    database = open_database(tmp_path)
    yield PageSessions(database, ApiKeys(database, tmp_path, KEY), clock)
    database.close()


async def found(sessions: PageSessions, token: str) -> SignedIn:
    """The session of a token, which goes on."""
    signed_in = await sessions.find(token)
    assert signed_in is not None
    return signed_in


async def renewed(sessions: PageSessions, clock: Clock, token: str) -> str:
    """The token that takes the place of one that is old enough."""
    clock.pass_(session_state.ROTATE_AFTER)
    after = (await found(sessions, token)).renewed
    assert after not in {"", token}
    return after


async def test_a_token_is_replaced_in_its_time_and_all_tabs_get_the_same(
    sessions: PageSessions, clock: Clock
) -> None:
    first = await sessions.begin(KEY)
    assert (await found(sessions, first)).renewed == ""
    second = await renewed(sessions, clock, first)
    assert (await found(sessions, first)).renewed == second, "another tab, or an answer that was lost"

    assert (await found(sessions, second)).renewed == "", "the browser has it"
    assert (await found(sessions, first)).renewed == "", "a request that was on its way"
    assert await renewed(sessions, clock, second) not in {first, second}


@pytest.mark.parametrize("rotations", [1, 3])
async def test_a_copy_of_a_spent_token_ends_the_session_for_both(
    sessions: PageSessions, clock: Clock, rotations: int
) -> None:
    stolen = token = await sessions.begin(KEY)
    for _ in range(rotations):
        token = await renewed(sessions, clock, token)
        await found(sessions, token)

    clock.pass_(session_state.GRACE + 1)
    assert await sessions.find(stolen) is None
    assert await sessions.find(token) is None, "nobody knows who of the two is the person"


async def test_a_thief_who_renews_the_token_is_noticed_by_its_person(
    sessions: PageSessions, clock: Clock
) -> None:
    token = await sessions.begin(KEY)
    stolen = await renewed(sessions, clock, token)
    await found(sessions, stolen)
    clock.pass_(session_state.GRACE + 1)
    assert await sessions.find(token) is None
    assert await sessions.find(stolen) is None


async def test_a_guess_of_a_secret_ends_nothing(sessions: PageSessions) -> None:
    token = await sessions.begin(KEY)
    session_id = token.partition(".")[0]
    for guess in (f"{session_id}.{'A' * 43}", f"{session_id}.", session_id, "", "x" * 60, token[:-1]):
        assert await sessions.find(guess) is None
        await sessions.end(guess)
    assert (await found(sessions, token)).id == session_id


async def test_a_session_ends_without_use_and_after_its_time(sessions: PageSessions, clock: Clock) -> None:
    unused, used = await sessions.begin(KEY), await sessions.begin(KEY)
    began = clock.at
    while clock.at - began < (SESSION_TTL - session_state.IDLE) * 1e6:
        clock.pass_(session_state.IDLE - 60)
        signed_in = await found(sessions, used)
        used = signed_in.renewed or used
    assert await sessions.find(unused) is None
    [listed] = await sessions.list("local", used.partition(".")[0])
    assert listed.current

    clock.pass_(session_state.IDLE - 60)
    assert await sessions.find(used) is None, "however much it is used"
    assert await sessions.list("local") == []


async def test_a_page_that_is_open_counts_as_use(sessions: PageSessions, clock: Clock) -> None:
    token = await sessions.begin(KEY)
    session_id = token.partition(".")[0]
    for _ in range(4):
        clock.pass_(session_state.IDLE - 60)
        assert await sessions.present(session_id)
        await sessions.note_use(session_id)
    await sessions.revoke("local", session_id)
    await sessions.note_use(session_id)
    assert await sessions.present(session_id) is None


async def test_a_session_that_was_ended_does_not_come_back_by_a_request_of_the_same_moment(
    sessions: PageSessions, clock: Clock
) -> None:
    token = await sessions.begin(KEY)
    clock.pass_(session_state.NOTED_EVERY + 1)
    session_id, store = token.partition(".")[0], sessions._store  # pyright: ignore[reportPrivateUsage]
    found = await store.read(session_id)
    assert found
    await sessions.revoke("local", session_id)
    found.state.used = clock.at
    assert not await store.swap(found)
    assert await sessions.find(token) is None


@pytest.mark.requirement("pages:workflow-session")
async def test_a_workflows_page_has_a_session_for_that_workflow_that_ends_with_the_consoles(
    sessions: PageSessions,
) -> None:
    token = await sessions.begin(KEY, browser="Chrome on Linux")
    session_id = token.partition(".")[0]
    opening = await sessions.create_opening(PERSON, "shop_0a1b2c3d", "/docs", session_id)
    with pytest.raises(NotFound):
        await sessions.redeem_opening(opening, "other_0a1b2c3d")
    page, where = await sessions.redeem_opening(opening, "shop_0a1b2c3d")
    assert where.path == "/docs"
    with pytest.raises(NotFound):
        await sessions.redeem_opening(opening, "shop_0a1b2c3d")

    assert await sessions.find_page(page, "shop_0a1b2c3d") is not None
    assert await sessions.find_page(page, "other_0a1b2c3d") is None
    assert await sessions.find(page) is None, "it opens nothing of the console"
    assert await sessions.find_page(token, "shop_0a1b2c3d") is None
    [listed] = await sessions.list("local")
    assert listed.workflows == ["shop_0a1b2c3d"]
    assert listed.browser == "Chrome on Linux"

    await sessions.end(token)
    assert await sessions.find_page(page, "shop_0a1b2c3d") is None


@pytest.mark.requirement("pages:workflow-session")
async def test_opening_a_page_again_replaces_its_cookie_and_their_number_is_bounded(
    sessions: PageSessions,
) -> None:
    token = await sessions.begin(KEY)
    session_id = token.partition(".")[0]

    async def opened(service_id: str) -> str:
        opening = await sessions.create_opening(PERSON, service_id, "/", session_id)
        return (await sessions.redeem_opening(opening, service_id))[0]

    first, again = await opened("shop_00000000"), await opened("shop_00000000")
    assert await sessions.find_page(first, "shop_00000000") is None
    assert await sessions.find_page(again, "shop_00000000") is not None
    for number in range(session_state.MAX_PAGES):
        await opened(f"other_{number:08x}")
    assert await sessions.find_page(again, "shop_00000000") is None, "the oldest has to be opened anew"
    [listed] = await sessions.list("local")
    assert len(listed.workflows) == session_state.MAX_PAGES


@pytest.mark.requirement("pages:workflow-session")
async def test_a_page_opened_from_a_terminal_has_a_session_that_opens_nothing_else(
    sessions: PageSessions,
) -> None:
    opening = await sessions.create_opening(PERSON, "shop_0a1b2c3d", "/", None)
    page, _ = await sessions.redeem_opening(opening, "shop_0a1b2c3d", browser="Firefox on Linux")
    assert await sessions.find_page(page, "shop_0a1b2c3d") is not None
    assert await sessions.find(page) is None
    [listed] = await sessions.list("local")
    assert listed.browser == "Firefox on Linux"
    await sessions.revoke("local", listed.id)
    assert await sessions.find_page(page, "shop_0a1b2c3d") is None


# what a second remembers


@pytest.fixture
def replica(tmp_path: Path, sessions: PageSessions, clock: Clock) -> Generator[PageSessions]:
    """Another process on the same database."""
    database = open_database(tmp_path)
    yield PageSessions(database, ApiKeys(database, tmp_path, KEY), clock)
    database.close()


def reads_of(sessions: PageSessions) -> list[str]:
    """The statements that the store of these sessions gets from now on."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(sessions._db.engine, "before_cursor_execute", note)  # pyright: ignore[reportPrivateUsage]
    return seen


@pytest.mark.requirement("pages:sessions-remembered")
async def test_a_session_is_read_once_in_a_second(sessions: PageSessions, clock: Clock) -> None:
    token = await sessions.begin(KEY)
    await found(sessions, token)
    seen = reads_of(sessions)
    for _ in range(20):
        await found(sessions, token)
    assert seen == []
    clock.pass_(1)
    await found(sessions, token)
    assert len(seen) == 1


@pytest.mark.requirement("pages:sessions-remembered")
async def test_a_session_that_ends_here_or_whose_key_does_is_not_remembered(
    sessions: PageSessions, tmp_path: Path
) -> None:
    keyring = sessions._keyring  # pyright: ignore[reportPrivateUsage]
    text, key = await keyring.create(owner="local", kind="admin", one_time=False, expires_in=None)
    tokens = [await sessions.begin(text) for _ in range(3)]
    for token in tokens:
        await found(sessions, token)
    await sessions.end(tokens[0])
    await sessions.revoke("local", tokens[1].partition(".")[0])
    assert [await sessions.find(token) for token in tokens[:2]] == [None, None]
    await found(sessions, tokens[2])
    await keyring.revoke(key.id)
    assert await sessions.find(tokens[2]) is None


@pytest.mark.requirement("pages:sessions-remembered")
async def test_what_another_process_changes_counts_when_it_is_told_and_after_a_second(
    sessions: PageSessions, replica: PageSessions, clock: Clock
) -> None:
    told, untold = await sessions.begin(KEY), await sessions.begin(KEY)
    await found(sessions, told)
    await replica.revoke("local", told.partition(".")[0])
    sessions.forget()
    assert await sessions.find(told) is None

    await found(sessions, untold)
    await replica.revoke("local", untold.partition(".")[0])
    clock.pass_(1)
    assert await sessions.find(untold) is None


@pytest.mark.requirement("pages:sessions-remembered")
async def test_a_token_that_another_process_has_replaced_signs_nobody_out(
    sessions: PageSessions, replica: PageSessions, clock: Clock
) -> None:
    first = await sessions.begin(KEY)
    second = await renewed(replica, clock, first)
    await found(sessions, first)
    await found(replica, second)
    third = await renewed(replica, clock, second)
    await found(sessions, second)
    await found(replica, third)
    assert await sessions.find(third), "read anew, since the one that is remembered is another"


@pytest.mark.requirement("pages:sessions-remembered")
async def test_a_workflows_page_that_another_process_has_opened_is_found(
    sessions: PageSessions, replica: PageSessions
) -> None:
    token = await sessions.begin(KEY)
    await found(sessions, token)
    session_id = token.partition(".")[0]
    opening = await replica.create_opening(PERSON, "page_0a1b2c3d", "/", session_id)
    page, _ = await replica.redeem_opening(opening, "page_0a1b2c3d")
    assert await sessions.find_page(page, "page_0a1b2c3d")
