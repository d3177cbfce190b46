"""A person's own Chrome and several runtimes on one database: it is connected to one, and all know of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.own_chrome.helpers import dial, say
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime
from websockets.exceptions import ConnectionClosed

from codewords_mcp.runtime.browser.own import pairing as book
from codewords_mcp.settings import Settings


@pytest.mark.slow
@pytest.mark.requirement("chrome:replicas")
def test_another_runtime_says_where_it_is_connected_and_forgets_it_all_the_same(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "PING_SECONDS", 0.1)
    shared = {
        "CODEWORDS_API_KEY": ADMIN_KEY,
        "CODEWORDS_MASTER_KEY": "a1" * 32,
        "CODEWORDS_DATABASE_URL": postgres.url(),
        "CODEWORDS_FILES": str(tmp_path / "files"),
    }
    settings = {name.removeprefix("CODEWORDS_").lower(): value for name, value in shared.items()}
    one = Door(Settings.model_validate(settings | {"home": make_home(tmp_path / "one"), "port": 0}))
    with one, start_runtime(make_home(tmp_path / "other"), **shared) as other, dial(one) as wire:
        say(wire, pair=other.call("POST", "/browser/pair")["url"].rpartition("/")[2])
        found = other.call("GET", "/browser")
        assert (found["paired"], found["connected"]) == (True, False)
        assert "another runtime on this database" in found["sentence"]
        assert one.url in found["fix"]
        assert other.call("DELETE", "/browser") == {"forgotten": True}
        with pytest.raises(ConnectionClosed):
            while True:
                wire.recv(timeout=120)
        assert wire.close_code == 4001
