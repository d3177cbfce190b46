"""Secrets, questions and one-time pages where several runtimes share a database, or one was started again."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.support.browser_client import sign_in
from tests.support.postgres import Postgres
from tests.support.runtime import ADMIN, make_home, open_runtime, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.errors import ConsentNeeded, InvalidInput, NotFound, StorageFailed

pytestmark = pytest.mark.slow
ONE, TWO = "a1" * 32, "b2" * 32
SHARED = {"CODEWORDS_API_KEY": "cwk-replicas-share-their-admin-key", "CODEWORDS_SANDBOX": "process"}
DIGEST = workflow(
    'import hashlib, os\n@app.post("/")\ndef digest():\n'
    '    return hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest()\n',
    env=("TOKEN",),
)
ASKS = workflow(
    'import httpx\n@app.post("/")\ndef f():\n    return httpx.get("https://api.example.com/").text\n'
)


class Houses:
    """Runtimes on one database, each with a home of its own, that come and go."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._shared = SHARED | {"CODEWORDS_DATABASE_URL": url, "CODEWORDS_FILES": str(folder / "files")}
        self._open: dict[str, tuple[ExitStack, dict[str, str], ServedRuntime]] = {}

    def start(self, name: str, **keys: str) -> ServedRuntime:
        """Have it up with these keys."""
        if name in self._open and self._open[name][1] == keys:
            return self._open[name][2]
        self.stop(name)
        stack, home = ExitStack(), self._folder / name
        if not home.exists():
            make_home(home)
        served = stack.enter_context(start_runtime(home, **self._shared | keys))
        self._open[name] = (stack, keys, served)
        return served

    def stop(self, *names: str) -> None:
        for name in names or tuple(self._open):
            if name in self._open:
                self._open.pop(name)[0].close()


@pytest.fixture(scope="module")
def houses(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Generator[Houses]:
    opened = Houses(tmp_path_factory.mktemp("houses"), postgres.migrated_url())
    yield opened
    opened.stop()


def client(runtime: ServedRuntime) -> httpx.Client:
    headers = {"Authorization": runtime.key}
    return httpx.Client(base_url=runtime.url, headers=headers, timeout=300, trust_env=False)


def reads(runtime: ServedRuntime, service: str, value: str) -> None:
    """The workflow has this value, on this runtime."""
    assert runtime.call("POST", f"/run/{service}/", {}) == hashlib.sha256(value.encode()).hexdigest()


def keys(current: str, previous: str = "") -> dict[str, str]:
    return (
        {"CODEWORDS_MASTER_KEY": current, "CODEWORDS_MASTER_KEY_PREVIOUS": previous}
        if previous
        else {"CODEWORDS_MASTER_KEY": current}
    )


def set_secret(runtime: ServedRuntime, value: str) -> None:
    runtime.call("PUT", "/secrets/TOKEN", {"value": value, "plain": True})


@pytest.mark.requirement("secrets:entry-anywhere", "manifest:consent-anywhere")
def test_a_page_that_one_runtime_opened_is_answered_on_another_and_holds_once(houses: Houses) -> None:
    a, b = houses.start("a", **keys(ONE)), houses.start("b", **keys(ONE))
    entry = a.call("POST", "/secrets/TYPED/entry")["url"]
    with client(a) as http, sign_in(a.url, a.key) as person:
        person.sign_in(b.url, b.key)
        asked = http.post("/deploy", json={"code": ASKS, "name": "asks"}).json()["error"]
        there = asked["url"].replace(a.url, b.url)
        assert "api.example.com" in person.get(there).text
        assert "Agreed" in person.submit(there, {"answer": "agree"}).text
        assert person.get(asked["url"]).status_code == 404
        again = {"code": ASKS, "name": "asks", "confirm": asked["confirm"]}
        assert http.post("/deploy", json=again).status_code == 200
        typed = person.submit(
            entry.replace(a.url, b.url), {"value": "typed-value", "hosts": "", "plain": "yes"}
        )
        assert "TYPED is stored" in typed.text
        assert person.get(entry).status_code == 404


@pytest.mark.requirement("secrets:shared-rotation", "secrets:shared", "store:postgres")
@pytest.mark.long("starts a runtime four times, each with other keys")
def test_a_key_is_changed_once_every_runtime_has_it_and_each_of_them_reads_and_writes_all_the_while(
    houses: Houses,
) -> None:
    a, b = houses.start("a", **keys(ONE)), houses.start("b", **keys(ONE))
    service = a.deploy(DIGEST, "digest")
    set_secret(a, "value-1")
    reads(b, service, "value-1")
    set_secret(b, "value-2")
    reads(a, service, "value-2")  # what another runtime has set counts from its next run on

    b = houses.start("b", **keys(TWO, ONE))
    set_secret(b, "value-3")
    reads(a, service, "value-3")  # though b has the new key already
    with client(b) as http:
        refused = http.post("/secrets/rotate-key")
        assert refused.status_code == 400, refused.text
        assert "1 of the runtimes on this database has not got the new master key" in refused.text
    reads(a, service, "value-3")

    a = houses.start("a", **keys(TWO, ONE))
    assert b.call("POST", "/secrets/rotate-key")["secrets"] > 0
    reads(a, service, "value-3")
    set_secret(a, "value-4")
    reads(b, service, "value-4")
    with pytest.raises(AssertionError, match="encrypted with master key"):
        houses.start("c", **keys(ONE))
    reads(houses.start("a", **keys(TWO)), service, "value-4")


@pytest.mark.anyio
@pytest.mark.requirement("secrets:shared-rotation")
async def test_runtimes_with_key_files_of_their_own_do_not_share_a_database_and_are_told_how(
    postgres: Postgres, tmp_path: Path
) -> None:
    shared = {"database_url": postgres.migrated_url(), "master_key_store": "file"}
    async with open_runtime(make_home(tmp_path / "a"), **shared) as first:
        with pytest.raises(
            StorageFailed, match="The runtimes on this database encrypt with master key"
        ) as told:
            async with open_runtime(make_home(tmp_path / "b"), **shared):
                pass
        assert "a copy of the master.key" in told.value.hint
        with pytest.raises(InvalidInput) as refused:
            await first.secrets.rotate_master_key(ADMIN)
        assert "CODEWORDS_MASTER_KEY_PREVIOUS" in refused.value.hint
    # nothing is stored that needs the key of who has left
    async with open_runtime(tmp_path / "b", **shared):
        pass


@pytest.mark.anyio
@pytest.mark.requirement("secrets:entry-anywhere", "manifest:consent-anywhere")
async def test_links_and_questions_outlive_a_start_anew(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, sandbox="process") as before:
        nonce = (await before.secrets.create_link(ADMIN, "TOKEN")).rpartition("/")[2]
        asked = await before.workflows.try_deploy(ADMIN, code=ASKS, name="asks")
        assert isinstance(asked, ConsentNeeded)
    async with open_runtime(home, sandbox="process") as after:
        assert (await after.secrets.redeem_link(ADMIN, nonce, "typed-value", hosts=[])).held == "plain"
        with pytest.raises(NotFound):
            await after.secrets.peek_link(ADMIN, nonce)
        await after.consents.decide(ADMIN, asked.confirm, agreed=True)
        assert (await after.workflows.deploy(ADMIN, code=ASKS, name="asks")).version == 1
