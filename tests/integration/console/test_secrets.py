"""Secrets that are kept elsewhere, entered on the page of secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.console.helpers import Console, signed_in_console

from codewords_testing.pipedream import LoopbackConnect

pytestmark = pytest.mark.slow
_NEVER = "a-value-that-no-page-shows"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    (folder / "token").write_text(_NEVER, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def signed_in(
    tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect, stores: Path
) -> Iterator[Console]:
    with signed_in_console(
        tmp_path_factory.mktemp("elsewhere"), broker, CODEWORDS_SECRET_SOURCES=f"file://{stores}/*"
    ) as console:
        yield console


def _enter(console: Console, selector: str, text: str) -> None:
    console.waits(f"!!document.querySelector({selector!r})")
    console.tab.value(f"document.querySelector({selector!r}).focus()")
    console.tab.do("Input.insertText", text=text)


@pytest.mark.requirement("console:secret-elsewhere")
def test_a_secret_that_is_kept_elsewhere_is_named_and_not_typed(console: Console, stores: Path) -> None:
    console.open("/console/secrets", "No secrets")
    console.click("main button", "Add a secret")
    _enter(console, "dialog input", "KEPT_TOKEN")
    _enter(console, "dialog input[aria-describedby=place-hint]", f"file://{stores}/token")
    console.click("dialog button", "Use KEPT_TOKEN from there")
    console.sees("main", f"kept at file://{stores}/token")
    console.waits("!document.querySelector('dialog')")
    assert _NEVER not in console.tab.value("document.documentElement.outerHTML")
    assert console.served.call("GET", "/secrets")["items"][0]["source"] == f"file://{stores}/token"

    # What this home does not allow is said in the dialog, which stays.
    console.click("main button", "Add a secret")
    _enter(console, "dialog input", "OTHER_TOKEN")
    _enter(console, "dialog input[aria-describedby=place-hint]", "env://HOME")
    console.click("dialog button", "Use OTHER_TOKEN from there")
    console.sees("dialog", "CODEWORDS_SECRET_SOURCES")
    console.served.call("DELETE", "/secrets/KEPT_TOKEN")
