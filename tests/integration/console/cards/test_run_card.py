"""The card of a run in a host: live, cancelled, again, and in hosts that do less than they could."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.console.cards.helpers import Card, Host
from tests.integration.console.helpers import Console
from tests.support.waiting import until


def _shown(
    host: Host, console: Console, wait: int = 0, options: dict[str, Any] | None = None, **order: Any
) -> Card:
    arguments = {"workflow_id": console.workflow, "input": order, "wait_seconds": wait}
    return host.show("run_workflow", arguments, **(options or {}))


def _run_of(card: Card) -> str:
    return str(card.seen("one.result.structuredContent.run_id"))


@pytest.mark.requirement("cards:run")
def test_a_run_is_followed_to_its_end(host: Host, console: Console) -> None:
    card = _shown(host, console, lines=30, seconds=2)
    card.sees(".log [role=option]", "Compared")
    card.sees("button", "Cancel this run")
    card.sees("h1", "Page monitor succeeded")
    assert "answer" in card.sees(".timeline [role=option]", "answer")
    assert '"lines": 30' in card.sees("section", "Result")
    assert set(card.called) == {"read_run_card"}
    assert console.tab.problems == []


@pytest.mark.requirement("cards:announced")
def test_the_text_beside_a_card_is_short_and_names_the_page(host: Host, console: Console) -> None:
    card = _shown(host, console, wait=20, kind="fail", lines=40)
    text = str(card.seen("one.result.content[0].text"))
    assert len(text.splitlines()) <= 12
    address = f"{console.served.url}/console/runs/{_run_of(card)}"
    assert text.splitlines()[-1].endswith(address)
    card.sees(".failure .error", "KeyError")
    card.click("footer button", "Open in the console")
    until(lambda: card.opened, "a link to the console")
    assert card.opened == [address]


@pytest.mark.requirement("cards:run")
def test_a_run_is_cancelled_after_a_second_look(host: Host, console: Console) -> None:
    card = _shown(host, console, seconds=120)
    card.click("button", "Cancel this run")
    assert "cancel_run" not in card.called
    card.click("button", "Cancel it now")
    card.sees("h1", "Cancelled after")
    assert console.record(_run_of(card))["status"] == "cancelled"


@pytest.mark.requirement("cards:run")
def test_a_run_is_run_again_in_its_card(host: Host, console: Console) -> None:
    card = _shown(host, console, wait=20, lines=1, note="first")
    card.sees("h1", "succeeded")
    card.click("button", "Run again")
    first = _run_of(card)
    second = until(lambda: _read_runs(card) - {first}, "the card to read the second run").pop()
    card.sees("h1", "succeeded")
    assert console.record(second)["requestContent"] == console.record(first)["requestContent"]


def _read_runs(card: Card) -> set[str]:
    paths = [str(call["arguments"].get("path", "")) for call in card.seen("one.calls")]
    return {path.removeprefix("/request/") for path in paths if path.startswith("/request/")}


@pytest.mark.requirement("cards:run")
def test_two_cards_show_two_runs(host: Host, console: Console) -> None:
    one = _shown(host, console, lines=2, seconds=1, name="one")
    two = _shown(host, console, lines=2, seconds=1, name="two")
    assert '"one"' in one.sees("section", "Result")
    assert '"two"' in two.sees("section", "Result")
    assert _run_of(one) != _run_of(two)


@pytest.mark.requirement("cards:text-is-data")
def test_logs_results_and_names_are_text_with_marks(host: Host, console: Console) -> None:
    card = _shown(host, console, wait=20, kind="hostile")
    card.sees(".log [role=option]", "<img src=x onerror=alert(1)>")
    assert "U+202E" in card.sees(".log .mark")
    assert "<script>window.hacked = 1</script>" in card.sees(".given")
    assert card.value("document.querySelectorAll('img, a[href^=javascript], b').length") == 0
    assert "\u202e" not in card.value("document.body.innerText")
    page = _shown(host, console, wait=20, kind="html")
    assert "<h1>A page</h1>" in page.sees(".given")
    assert page.value("document.querySelectorAll('iframe').length") == 0
    assert host.tab.value("window.hacked") is None


@pytest.mark.requirement("cards:host")
def test_a_card_takes_theme_and_colours_and_tells_its_height(host: Host, console: Console) -> None:
    card = _shown(host, console, wait=20, options={"theme": "dark"}, lines=1)
    card.sees("section", "Result")
    assert card.value("getComputedStyle(document.body).backgroundColor") == "rgb(26, 29, 35)"
    styles = '{theme: "light", styles: {variables: {"--color-background-primary": "rgb(250, 240, 230)"}}}'
    card.seen(f"one.bridge.sendHostContextChange({styles})")
    until(
        lambda: card.value("getComputedStyle(document.body).backgroundColor") == "rgb(250, 240, 230)",
        "the host's colour",
    )
    assert card.value("document.documentElement.dataset.theme") == "light"
    height = "Math.ceil(document.body.getBoundingClientRect().height)"
    until(lambda: card.seen("one.sizes.at(-1)") == card.value(height), "the height that the card told")
    assert card.value("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.requirement("cards:host")
def test_a_silent_host_leaves_words_instead_of_nothing(host: Host, console: Console) -> None:
    card = _shown(host, console, wait=20, options={"silent": True}, lines=1)
    card.sees("[role=status]", "does not answer this card")
    # Only the window that holds a card is listened to.
    forged = {
        "jsonrpc": "2.0",
        "method": "ui/notifications/tool-result",
        "params": {"structuredContent": {"run_id": "x"}},
    }
    card.value(f"(window.postMessage({forged}, '*'), new Promise(done => setTimeout(done)))")
    card.sees("[role=status]", "does not answer this card")


@pytest.mark.requirement("cards:host")
def test_a_call_that_is_given_up_is_told(host: Host, console: Console) -> None:
    card = _shown(host, console, options={"pending": True})
    card.sees("[role=status]", "Waiting for the result")
    card.seen("one.bridge.sendToolCancelled({reason: 'stopped by <b>you</b>'})")
    card.sees("[role=status]", "given up: stopped by <b>you</b>")
    assert card.seen("one.bridge.teardownResource({})") == {}


@pytest.mark.requirement("cards:host")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"refuse": ["read_run_card"]}, "The chat host refused: Refused by the person"),
        ({"without": ["serverTools"]}, "This chat host lets a card ask for nothing."),
    ],
)
def test_what_the_call_said_is_shown_where_a_host_lets_a_card_ask_nothing(
    host: Host, console: Console, options: dict[str, Any], says: str
) -> None:
    card = _shown(host, console, wait=20, options=options, kind="table")
    card.sees(".problem", says)
    card.sees("h1", "Page monitor: Succeeded")
    assert "Item 1" in card.sees(".given")


@pytest.mark.requirement("cards:host")
@pytest.mark.parametrize("options", [{"closed": True}, {"without": ["openLinks"]}])
def test_an_address_that_a_host_does_not_open_is_shown(
    host: Host, console: Console, options: dict[str, Any]
) -> None:
    card = _shown(host, console, wait=20, options=options, lines=1)
    card.click("footer button", "Open in the console")
    card.sees(".address", f"{console.served.url}/console/runs/{_run_of(card)}")
