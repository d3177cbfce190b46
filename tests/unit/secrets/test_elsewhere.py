"""Secrets that are kept elsewhere: references, what a home allows, and how long a value is used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from codewords_mcp.errors import InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.secrets.elsewhere import STALE_SECONDS, SecretsElsewhere
from codewords_mcp.runtime.secrets.references import AllowedReferences, SecretReference, parse_reference
from codewords_mcp.runtime.secrets.stores import StoreFailed

VAULT = parse_reference("vault://kv/app#token")


@pytest.mark.requirement("elsewhere:references")
@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("env://APP_KEY", SecretReference("env", "APP_KEY")),
        ("file:///run/secrets/key", SecretReference("file", "/run/secrets/key")),
        ("file:///run/secrets/all.json#key", SecretReference("file", "/run/secrets/all.json", "key")),
        ("vault://kv/team/app#token", SecretReference("vault", "kv/team/app", "token")),
        ("aws-sm://prod/db#password", SecretReference("aws-sm", "prod/db", "password")),
        ("gcp-sm://project/name", SecretReference("gcp-sm", "project/name")),
        ("op://Prod/db/server/password", SecretReference("op", "Prod/db/server/password")),
    ],
)
def test_a_reference_is_read_and_written_the_same(text: str, parsed: SecretReference) -> None:
    assert parse_reference(text) == parsed
    assert str(parsed) == text


@pytest.mark.requirement("elsewhere:references")
@pytest.mark.parametrize(
    "text",
    [
        "", "sk_live_51AValue", "https://host/secret", "env://", "env:///ABSOLUTE", "file://relative", "file:///a/../b",
        "file:///a//b", "file:///a/./b", "vault://kv/app", "vault://kv#field", "vault://kv/%2e%2e/x#f", "vault://kv/a?b#f",
        "vault://kv/*#f", "vault://kv/{owner}#f", "gcp-sm://name", "op://vault/item", "env://A B", "env://A\x00", "VAULT://kv/a#f",
        "vault://kv/" + "a" * 600 + "#f", "file:///a\\b",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_reference(text)
    if len(text) > 8:
        assert text not in str(refused.value)


@pytest.mark.requirement("elsewhere:allowed")
@pytest.mark.parametrize(
    ("patterns", "owner", "text", "allowed"),
    [
        ([], "ada", "env://APP_KEY", False),
        (["env://APP_*"], "ada", "env://APP_KEY", True),
        (["env://APP_*"], "ada", "env://CODEWORDS_MASTER_KEY", False),
        (["env://APP_*"], "ada", "env://XAPP_KEY", False),
        (["vault://kv/{owner}/*"], "ada", "vault://kv/ada/app#token", True),
        (["vault://kv/{owner}/*"], "ada", "vault://kv/bob/app#token", False),
        (["vault://kv/{owner}/*"], ".*", "vault://kv/bob/app#token", False),
        (["vault://kv/app"], "ada", "vault://kv/app#any", True),
        (["vault://kv/app"], "ada", "vault://kv/app/more#any", False),
        (["file:///run/secrets/*", "env://B"], "ada", "file:///run/secrets/deep/key", True),
        (["file:///run/secrets/*"], "ada", "file:///etc/shadow", False),
    ],
)
def test_only_what_the_home_allows_is_read(patterns: list[str], owner: str, text: str, allowed: bool) -> None:
    reading = AllowedReferences(patterns)
    if allowed:
        reading.require(owner, parse_reference(text))
        return
    with pytest.raises(InvalidInput, match="may not read"):
        reading.require(owner, parse_reference(text))


@dataclass
class Store:
    """A store whose answer may be changed, and a clock beside it."""

    answer: Callable[[], str] = lambda: "first"
    now: float = 1000.0
    asked: list[SecretReference] = field(default_factory=list[SecretReference])

    def read(self, reference: SecretReference) -> str:
        self.asked.append(reference)
        return self.answer()

    def secrets(self, cache_seconds: float = 60) -> SecretsElsewhere:
        allowed = AllowedReferences(["vault://*"])
        return SecretsElsewhere(allowed, cache_seconds, read=self.read, clock=lambda: self.now)

    def fails(self, why: str, *, away: bool = False) -> None:
        def fail() -> str:
            raise StoreFailed(why, away=away)

        self.answer = fail


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:fresh")
async def test_a_value_is_asked_for_once_a_minute_and_a_new_one_is_used_then() -> None:
    store = Store()
    secrets = store.secrets()
    assert [await secrets.value("ada", "KEY", VAULT) for _ in range(3)] == ["first"] * 3
    assert len(store.asked) == 1
    store.answer = lambda: "second\n"
    store.now += 61
    assert await secrets.value("ada", "KEY", VAULT) == "second"


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:fresh")
async def test_runs_that_start_together_ask_once_and_one_that_is_cancelled_fails_no_other() -> None:
    store = Store()
    secrets = store.secrets(cache_seconds=0)
    first, *others = [asyncio.create_task(secrets.value("ada", "KEY", VAULT)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.gather(*others) == ["first"] * 4
    assert len(store.asked) == 1


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:away")
async def test_while_a_store_is_away_the_last_value_is_used_for_a_quarter_of_an_hour() -> None:
    store = Store()
    secrets = store.secrets()
    await secrets.value("ada", "KEY", VAULT)
    store.fails("the store does not answer", away=True)
    store.now += STALE_SECONDS - 1
    assert await secrets.value("ada", "KEY", VAULT) == "first"
    store.now += 2
    with pytest.raises(
        UpstreamTimedOut, match=r"KEY is kept in vault://kv/app#token: the store does not answer"
    ):
        await secrets.value("ada", "KEY", VAULT)


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:away")
async def test_what_a_store_refuses_or_has_no_more_is_not_used_again_though_it_goes_away_then() -> None:
    store = Store()
    secrets = store.secrets()
    await secrets.value("ada", "KEY", VAULT)
    store.now += 61
    store.fails("the store refuses this runtime")
    with pytest.raises(UpstreamFailed, match="refuses this runtime"):
        await secrets.value("ada", "KEY", VAULT)
    store.fails("the store does not answer", away=True)
    with pytest.raises(UpstreamTimedOut):
        await secrets.value("ada", "KEY", VAULT)


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:away")
@pytest.mark.parametrize("value", ["", "\n", "a\0b", "x" * (64 * 1024 + 1)])
async def test_a_value_that_no_variable_can_carry_is_told_without_it(value: str) -> None:
    store = Store(answer=lambda: value)
    with pytest.raises(UpstreamFailed, match="empty, too long or no text") as told:
        await store.secrets().value("ada", "KEY", VAULT)
    assert "xxx" not in str(told.value)


@pytest.mark.anyio
@pytest.mark.requirement("elsewhere:away")
async def test_a_store_that_never_answers_is_away() -> None:
    gate = threading.Event()

    def wait(_: SecretReference) -> str:
        gate.wait()
        return "too late"

    secrets = SecretsElsewhere(AllowedReferences(["vault://*"]), 60, read=wait, answer_seconds=0.01)
    try:
        with pytest.raises(UpstreamTimedOut, match="does not answer"):
            await secrets.value("ada", "KEY", VAULT)
    finally:
        gate.set()
