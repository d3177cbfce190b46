"""`codewords integrations` and `codewords connections`, as a person types them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.integration.cli.terminal import Result, Shell, Terminal
from tests.integration.integrations.helpers import USER
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_testing.pipedream import LoopbackConnect

pytestmark = [pytest.mark.requirement("integrations:cli")]


@pytest.fixture
def shell(door: Door, http: httpx.Client, tmp_path: Path) -> Shell:
    """A shell beside the runtime, in which nobody has connected anything."""
    return Shell(tmp_path / "home", {"CODEWORDS_RUNTIME_URL": door.url, "CODEWORDS_API_KEY": ADMIN_KEY})


def well(done: Result) -> Result:
    assert done.code == 0, done.err
    return done


def test_from_a_search_to_a_call(shell: Shell, connect: LoopbackConnect) -> None:
    found = well(shell("codewords", "integrations", "search", "refund", "a", "charge"))
    assert "stripe-create-refund" in found.out.splitlines()[0]
    shown = well(shell("codewords", "integrations", "show", "stripe", "create-refund")).out
    assert "charge" in shown
    assert "needed, string" in shown
    listed = well(shell("codewords", "integrations", "show", "stripe")).out
    assert "stripe-create-customer" in listed
    wanted = ("integrations", "call", "stripe", "create-refund", "--set", "charge=ch_1", "-s", "amount=5")
    refused = shell("codewords", *wanted)
    assert refused.code == 3
    assert "/connect/" in refused.err
    connect.connect_account(USER, "stripe", name="My shop")
    done = well(shell("codewords", *wanted))
    assert "Ran stripe-create-refund" in done.out
    assert connect.runs[-1].props["amount"] == 5


@pytest.mark.requirement("services:terminal")
def test_an_action_that_changes_something_is_done_from_a_terminal_once_the_person_said_so(
    shell: Shell, connect: LoopbackConnect
) -> None:
    call = ("codewords", "integrations", "call", "stripe", "create-refund", "-s", "charge=ch_1\n2")
    unconnected = Terminal(shell, *call)
    assert unconnected.end() == 3
    assert "/connect/" in unconnected.plain
    assert "Do it?" not in unconnected.plain, "nobody is asked about what can't be done"

    connect.connect_account(USER, "stripe", name="My shop")
    for answer, code, done in (("n", 3, 0), ("", 3, 0), ("y", 0, 1)):
        terminal = Terminal(shell, *call)
        terminal.expect("Do it?")
        assert "+ action: stripe-create-refund" in terminal.plain
        assert "+ charge: “ch_1 2”" in terminal.plain
        terminal.type(f"{answer}\n")
        assert terminal.end() == code, terminal.plain
        assert len(connect.runs) == done

    unasked = Terminal(shell, *call, "--yes")
    assert unasked.end() == 0, unasked.plain
    assert "Do it?" not in unasked.plain
    assert len(connect.runs) == 2


def test_values_of_a_field_are_listed(shell: Shell, connect: LoopbackConnect) -> None:
    connect.connect_account(USER, "google_sheets")
    asked = ("integrations", "show", "google_sheets", "add-single-row", "--prop", "sheetId")
    assert "Orders" in well(shell("codewords", *asked)).out


def test_an_app_is_connected_and_its_account_listed_and_removed(
    shell: Shell, connect: LoopbackConnect
) -> None:
    waiting = shell("codewords", "integrations", "connect", "stripe", "--wait", "0")
    assert waiting.code == 1
    assert "/connect/" in waiting.out
    account = connect.connect_account(USER, "stripe", name="My shop")
    connected = well(shell("codewords", "integrations", "connect", "stripe"))
    assert "PIPEDREAM_STRIPE_ACCESS" in connected.out
    assert "My shop" in well(shell("codewords", "connections")).out
    assert well(shell("codewords", "connections", "--json")).json[0]["id"] == account
    well(shell("codewords", "connections", "delete", account))
    assert well(shell("codewords", "connections")).out == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("call", "stripe", "create-refund", "--set", "charge"), "NAME=VALUE"),
        (("call", "stripe", "create-refund", "--input", "[]"), "JSON object"),
        (("show", "stripe", "--prop", "x"), "belongs to an action"),
        (("show", "no_such_app"), "no app of this name"),
        (("call", "stripe", "make-me-rich"), "The closest are"),
    ],
)
def test_what_cannot_be_done_is_said(shell: Shell, words: tuple[str, ...], says: str) -> None:
    done = shell("codewords", "integrations", *words)
    assert done.code in {2, 3}
    assert says in done.err
