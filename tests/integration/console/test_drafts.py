"""Drafts in the console: code is written and checked, tried, compared with what is live, and deployed once it was read."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import DESKTOP, PHONE, Console
from tests.integration.console.look import look, violations
from tests.support.runtime import workflow

_CODE = workflow(
    """
from pydantic import BaseModel

class Order(BaseModel):
    count: int

@app.post("/")
async def total(order: Order):
    return {"total": order.count * 2}
""",
    title="Counts",
)
_LINE = '    return {"total": order.count * 2}'
_REACHES = "import httpx\n\ndef price() -> str:\n    return httpx.get('https://api.example.com/price').text\n"
_SHIFT, _CONTROL = 8, 2


def _number_of(line: str) -> int:
    return _CODE.splitlines().index(line) + 1


def _key(console: Console, key: str, code: int, modifiers: int = 0) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        console.tab.do(
            "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers
        )


def _write(console: Console, text: str) -> None:
    """Write a text in place of the line that the cursor is at the beginning of."""
    console.waits("document.activeElement.classList.contains('cm-content')")
    # A jump to a line moves the cursor after the page is drawn, also where the editor has the focus already.
    console.tab.drawn()
    _key(console, "Home", 36)
    _key(console, "End", 35, _SHIFT)
    console.tab.do("Input.insertText", text=text)


def _save(console: Console) -> None:
    _key(console, "s", 83, _CONTROL)


def _change_another(console: Console) -> None:
    """Let the page look at its draft, since another one has changed."""
    requests = "performance.getEntriesByType('resource').filter(e => e.name.includes('/drafts/')).length"
    before = console.tab.value(requests)
    console.served.call("POST", "/drafts", {"code": _CODE})
    console.waits(f"{requests} > {before}")
    console.tab.drawn()


def _drafts_of(console: Console, service_id: str) -> list[dict[str, object]]:
    items = console.served.call("GET", "/drafts")["items"]
    return [one for one in items if one["workflow_id"] == service_id]


def _saved(console: Console) -> str:
    """The id of the draft whose text is all stored."""
    console.waits("location.pathname.startsWith('/console/drafts/draft_')")
    console.sees(".head button", "Check again")
    return str(console.tab.value("location.pathname.split('/').pop()"))


def _open_editor(console: Console, path: str, heading: str) -> None:
    console.open(path, heading)
    console.sees(".cm-content", "FastAPI")


@pytest.mark.requirement("console:drafts")
def test_a_workflow_is_broken_mended_in_the_editor_and_deployed(console: Console) -> None:
    service_id = console.served.deploy(_CODE, "Mended")
    console.served.call("POST", f"/run/{service_id}/", {"count": 2})
    console.open(f"/console/workflows/{service_id}?tab=code", "Mended")
    console.click("main a.button", "Edit in a draft")
    console.sees(".cm-content", "FastAPI")
    console.sees(".findings", "No problems: it starts")
    assert _drafts_of(console, service_id) == [], "looking at the code stores nothing"

    console.open(f"/console/drafts/new?workflow={service_id}&line={_number_of(_LINE)}", "Mended")
    _write(console, _LINE.replace("order.count", "orders.count"))
    console.sees(".finding.error", "orders")
    console.waits("document.querySelector('.cm-lintRange-error')")
    console.sees("main h1", "Mended has 1 problem")

    console.click(".finding button", f"Line {_number_of(_LINE)}")
    _write(console, _LINE.replace("* 2", "* 3"))
    console.sees(".findings", "No problems: it starts")
    _save(console)
    draft_id = _saved(console)
    assert [one["draft_id"] for one in _drafts_of(console, service_id)] == [draft_id]

    console.click(".tabs a", "Difference to live")
    console.sees(".difference .added", "* 3")
    console.click(".tabs a", "Deploy")
    button = "Deploy version 2 of Mended"
    console.sees("main button.primary", button)
    console.sees(".difference .added", "* 3")
    headings = console.tab.value("[...document.querySelectorAll('main .card h2')].map(e => e.innerText)")
    assert headings[:4] == ["Code", "Permissions", "Behaviour", "Cost"]
    assert console.tab.value(
        "Boolean([...document.querySelectorAll('main .card')].at(-1).compareDocumentPosition("
        "document.querySelector('main .actions > button.primary:last-of-type')) & Node.DOCUMENT_POSITION_FOLLOWING)"
    ), "the button is below what is read"
    console.click("main button.primary", button)
    console.sees("main h1", "Version 2 of Mended is live")
    console.click("main a.button", "Run it")
    console.sees("main h1", "Mended")
    assert console.served.call("POST", f"/run/{service_id}/", {"count": 2}) == {"total": 6}
    assert console.tab.problems == [], "the editor's styles are within the console's policy"


@pytest.mark.requirement("console:drafts", "deploy:deployers")
def test_wider_permissions_are_agreed_to_below_what_they_are(console: Console) -> None:
    service_id = console.served.deploy(_CODE, "Widened")
    wider = _CODE.replace("from pydantic", _REACHES + "from pydantic")
    draft = console.served.call("POST", f"/workflows/{service_id}/edits", {"code": wider})["draft"]
    console.open(f"/console/drafts/{draft['draft_id']}?tab=deploy", "Widened can be deployed")
    console.sees(".changed-permissions .added", "api.example.com")
    console.sees(".attention .permissions", "api.example.com")
    console.click("main button.primary", "Agree, and deploy version 2 of Widened")
    console.sees("main h1", "Version 2 of Widened is live")
    found = console.served.call("GET", f"/workflows/{service_id}")
    assert (found["version"], any("api.example.com" in line for line in found["capabilities"])) == (2, True)
    assert found["versions"][0]["deployed_by"] == "local, in the console"


@pytest.mark.requirement("console:drafts-conflict")
def test_a_version_that_went_live_meanwhile_is_shown_before_it_is_replaced(console: Console) -> None:
    service_id = console.served.deploy(_CODE, "Overtaken")
    mine, theirs = _CODE.replace("* 2", "* 3"), _CODE.replace("* 2", "* 4")
    draft = console.served.call("POST", f"/workflows/{service_id}/edits", {"code": mine})["draft"]
    console.served.deploy(theirs, "Overtaken", service_id=service_id)
    console.open(f"/console/drafts/{draft['draft_id']}?tab=deploy", "Overtaken")
    console.sees(".problem", "version 2 is live")
    console.sees(".problem .difference .added", "* 4")
    console.click(".problem button", "Review it as a replacement of version 2")
    console.sees(".difference .removed", "* 4")
    console.click("main button.primary", "Deploy version 3 of Overtaken")
    console.sees("main h1", "Version 3 of Overtaken is live")
    assert console.served.call("POST", f"/run/{service_id}/", {"count": 2}) == {"total": 6}


@pytest.mark.requirement("console:drafts")
def test_packages_that_are_being_typed_are_not_installed(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE})["draft"]
    packages = next(line for line in _CODE.splitlines() if line.startswith("# dependencies"))
    _open_editor(console, f"/console/drafts/{draft['draft_id']}?line={_number_of(packages)}", "Counts")
    _write(console, packages.removesuffix("]") + ', "half-typed-na"]')
    console.sees("main [role=status]", "installed, and the program is started, when you save")
    console.waits("!document.querySelector('.findings').innerText.includes('Checking')")
    assert console.tab.value("document.querySelectorAll('.finding.error').length") == 0, (
        "it was not looked for"
    )
    _save(console)
    console.sees(".finding.error", "half-typed-na")


@pytest.mark.requirement("console:drafts-conflict")
def test_a_draft_that_somebody_else_changed_is_not_overwritten(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE})["draft"]
    path, edits = f"/console/drafts/{draft['draft_id']}", f"/drafts/{draft['draft_id']}/edits"
    theirs = _CODE.replace("* 2", "* 7")
    _open_editor(console, f"{path}?line={_number_of(_LINE)}", "Counts can be deployed")
    console.served.call("POST", edits, {"code": theirs})
    console.sees(".cm-content", "* 7")
    console.sees(".facts", "revision 2")

    _write(console, _LINE.replace("* 2", "* 8"))
    console.served.call("POST", edits, {"code": theirs.replace("* 7", "* 9")})
    console.sees("[role=alert]", "Revision 3 of this draft was saved elsewhere")
    console.sees("[role=alert] .compare", "* 9")
    console.waits("document.querySelector('.head button').disabled")
    stored = console.served.call("GET", f"/drafts/{draft['draft_id']}?code=1")
    assert (stored["revision"], "* 9" in stored["code"]) == (3, True)

    console.click("[role=alert] button", "Save your text as revision 4")
    _saved(console)
    stored = console.served.call("GET", f"/drafts/{draft['draft_id']}?code=1")
    assert (stored["revision"], "* 8" in stored["code"]) == (4, True)
    console.waits("!document.querySelector('.compare')")

    console.served.call("DELETE", f"/drafts/{draft['draft_id']}")
    console.sees("[role=alert]", "Your text is still here")
    console.click("[role=alert] button", "Keep it as a new draft")
    console.waits(f"!location.pathname.includes('{draft['draft_id']}')")
    assert "* 8" in console.served.call("GET", f"/drafts/{_saved(console)}?code=1")["code"]


@pytest.mark.requirement("console:drafts-conflict")
def test_text_that_is_not_saved_survives_a_reload(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE})["draft"]
    path = f"/console/drafts/{draft['draft_id']}"
    _open_editor(console, f"{path}?line={_number_of(_LINE)}", "Counts")
    _write(console, _LINE.replace("* 2", "* 5"))
    console.sees("main h1", "not saved")
    _open_editor(console, path, "not saved")
    console.sees(".cm-content", "* 5")
    console.click(".attention button", "Go back to revision 1")
    console.sees("main h1", "Counts can be deployed")
    _open_editor(console, path, "Counts can be deployed")


@pytest.mark.requirement("console:drafts")
def test_a_draft_is_tried_on_an_input_without_sending_anything(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE, "example": {"count": 4}})["draft"]
    console.open(f"/console/drafts/{draft['draft_id']}?tab=try", "Counts")
    console.waits("document.getElementById('fieldinput/count')")
    console.click(".run-form button.primary", "Try it")
    console.sees(".run-form [role=alert]", "1 field")
    console.tab.value(
        "(() => { const field = document.getElementById('fieldinput/count'); field.value = '6';"
        "field.dispatchEvent(new Event('input', {bubbles: true})); field.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    console.click(".run-form button.primary", "Try it")
    console.sees(".answer", "12")
    console.sees("main", "It would send nothing.")


@pytest.mark.requirement("console:drafts")
def test_new_workflows_begin_blank_or_as_a_template(console: Console) -> None:
    console.open("/console/drafts", "draft")
    console.click("main a.button", "New workflow")
    console.sees(".cm-content", "async def main")
    console.click(".head button", "Save")
    draft_id = _saved(console)
    stored = console.served.call("GET", f"/drafts/{draft_id}?code=1")
    assert (stored["ready"], stored["workflow_id"]) == (True, None)
    console.sees(".findings", "No problems")
    console.click(".head button", "Delete")
    console.click("dialog button", "Delete the draft of")
    console.waits("location.pathname === '/console/drafts'")
    assert draft_id not in [one["draft_id"] for one in console.served.call("GET", "/drafts")["items"]]

    console.open("/console/templates?q=greeting", "to start from")
    console.click(".gallery a", "Edit a copy")
    console.sees(".cm-content", "GreetingRequest")


@pytest.mark.requirement("console:drafts")
def test_the_code_of_a_failed_run_is_opened_at_its_line(console: Console) -> None:
    run_id = console.run(kind="fail")
    console.open(f"/console/runs/{run_id}", "KeyError")
    console.click(".failure a", "Edit the code at line")
    console.sees(".cm-activeLine", 'answer["summary"]')


@pytest.mark.requirement("console:editor-keys")
def test_the_editor_is_left_by_escape_and_tab_and_keys_are_text_in_it(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE})["draft"]
    path = f"/console/drafts/{draft['draft_id']}"
    _open_editor(console, f"{path}?line={_number_of(_LINE)}", "Counts")
    console.waits("document.activeElement.classList.contains('cm-content')")
    console.tab.press("g", "r", "/", "?", "Tab")
    console.sees(".cm-activeLine", "gr/?")
    assert console.tab.value("location.pathname") == path
    assert console.tab.value("document.activeElement.classList.contains('cm-content')"), "Tab indents"
    console.tab.press("Escape", "Tab")
    console.waits("!document.activeElement.classList.contains('cm-content')")
    console.sees(".hint", "Esc, then Tab")


@pytest.mark.requirement("console:text-is-data")
def test_names_and_code_of_drafts_are_text_with_deceiving_characters_marked(console: Console) -> None:
    hostile = "<img src=x onerror=window.hacked=1>\u202egnp"
    code = _CODE.replace("from pydantic", f"# {hostile}\nfrom pydantic")
    draft = console.served.call("POST", "/drafts", {"code": code, "name": hostile})["draft"]
    console.open("/console/drafts", "draft")
    console.sees("main .table", "U+202E")
    _open_editor(console, f"/console/drafts/{draft['draft_id']}", "U+202E")
    console.sees(".cm-content .mark", "U+202E")
    assert console.tab.value("window.hacked === undefined && !document.querySelector('main img[src]')")


@pytest.mark.requirement("console:drafts")
def test_a_draft_is_renamed_in_the_list(console: Console) -> None:
    draft = console.served.call("POST", "/drafts", {"code": _CODE, "name": "Old name"})["draft"]
    console.open("/console/drafts", "draft")
    console.click("main button[aria-label='Rename the draft Old name']")
    console.sees("dialog label", "Name")
    console.tab.value("document.querySelector('dialog input').select()")
    console.tab.press(*"New name", "Enter")
    console.sees("main .table", "New name")
    assert console.served.call("GET", f"/drafts/{draft['draft_id']}")["name"] == "New name"
    assert console.tab.value("document.querySelector('dialog')") is None


_OUT_OF_SIGHT = {
    "joiner": ('"total"', '"to\u200dtal"', "to⟨U+200D⟩tal"),
    "direction": ('"total"', '"\u202etotal"', "⟨U+202E⟩total"),
    "another alphabet": ("count * 2", "c\u043eunt * 2", "c⟨U+043E⟩unt * 2"),
    "carriage return": ("    return", "    #\r    print()\r    return", "    print()"),
    "space": ("count * 2", "count *\xa02", "count *⟨U+00A0⟩2"),
}


@pytest.mark.requirement("console:drafts", "manifest:difference")
def test_the_difference_to_live_has_nothing_out_of_sight(signed_in: Console) -> None:
    service_id = signed_in.served.deploy(_CODE, "Deceives")
    for plain, hidden, shown in _OUT_OF_SIGHT.values():
        body = {"code": _CODE.replace(plain, hidden)}
        draft_id = signed_in.served.call("POST", f"/workflows/{service_id}/edits", body)["draft"]["draft_id"]
        signed_in.open(f"/console/drafts/{draft_id}?tab=diff", "Deceives")
        signed_in.sees(".difference .added", shown)
        drawn = signed_in.served.call("GET", f"/drafts/{draft_id}/diff")["diff"]
        assert signed_in.tab.value("document.querySelector('.difference').textContent") == drawn + "\n"
        signed_in.served.call("DELETE", f"/drafts/{draft_id}")


@pytest.mark.requirement("console:drafts")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_editors_find_bar_is_seen_and_finds(
    console: Console, looked_at: dict[str, str], size: tuple[int, int], dark: bool
) -> None:
    console.tab.resize(*size, dark=dark)
    console.open(looked_at["ready"], "Looked at")
    console.sees(".cm-content", "FastAPI")
    console.tab.value("document.querySelector('.cm-content').focus()")
    _key(console, "f", 70, _CONTROL)
    console.waits("document.activeElement.matches('.cm-search input[name=search]')")
    console.tab.press(*"count")
    console.waits("document.querySelectorAll('.cm-searchMatch').length > 1")

    # Each control is whole within the window and has colours of the theme, not the browser's own look.
    found = console.tab.value(_FIND_BAR)
    assert found["outside"] == [], found
    assert found["unstyled"] == [], found
    if size == DESKTOP:
        assert found["rows"] <= 2, found
    assert violations(console) == []
    assert console.tab.problems == [], console.tab.problems


_FIND_BAR = """(() => {
  const bar = document.querySelector('.cm-search'), all = [...bar.querySelectorAll('input, button, label')];
  const box = (one) => one.getBoundingClientRect(), name = (one) => one.name || one.innerText;
  return {
    outside: all.filter((one) => box(one).left < 0 || box(one).right > innerWidth || !box(one).height).map(name),
    unstyled: all.filter((one) => one.matches('.cm-button, .cm-textfield') && getComputedStyle(one).borderRadius !== '6px').map(name),
    rows: new Set(all.filter((one) => one.matches('.cm-button, .cm-textfield')).map((one) => Math.round(box(one).top / 10))).size,
  };
})()"""


@pytest.fixture(scope="session")
def looked_at(signed_in: Console) -> dict[str, str]:
    """The addresses of a draft with a problem, and of one that can be deployed and asks for more."""
    found: dict[str, str] = {}
    for name, code in {
        "problem": _CODE.replace("order.count", "orders.count"),
        "ready": _CODE.replace("from pydantic", _REACHES + "from pydantic"),
    }.items():
        service_id = signed_in.served.deploy(_CODE, f"Looked at: {name}")
        draft = signed_in.served.call("POST", f"/workflows/{service_id}/edits", {"code": code})["draft"]
        found[name] = f"/console/drafts/{draft['draft_id']}"
    return found


@pytest.mark.requirement("console:pages")
@pytest.mark.parametrize(
    ("tab", "of", "ready"),
    [
        ("code", "problem", ".cm-lintRange"),
        ("diff", "problem", ".difference .added"),
        ("try", "ready", ".run-form form"),
        ("deploy", "ready", ".attention .permissions"),
    ],
)
def test_each_part_of_a_draft_fits_phones_and_desktops(
    console: Console, looked_at: dict[str, str], tab: str, of: str, ready: str
) -> None:
    look(console, f"{looked_at[of]}?tab={tab}", "Looked at", ready)


@pytest.mark.requirement("console:pages")
def test_the_list_of_drafts_fits_phones_and_desktops(console: Console, looked_at: dict[str, str]) -> None:
    assert looked_at
    look(console, "/console/drafts", "draft", ".table")


@pytest.mark.requirement("console:drafts-conflict")
def test_a_draft_that_was_begun_meanwhile_is_met_beside_what_was_written(console: Console) -> None:
    service_id = console.served.deploy(_CODE, "Begun twice")
    _open_editor(
        console, f"/console/drafts/new?workflow={service_id}&line={_number_of(_LINE)}", "Begun twice"
    )
    _write(console, _LINE.replace("* 2", "* 5"))
    theirs = console.served.call(
        "POST", f"/workflows/{service_id}/edits", {"code": _CODE.replace("* 2", "* 6")}
    )["draft"]
    _save(console)
    console.waits(f"location.pathname === '/console/drafts/{theirs['draft_id']}'")
    console.sees("[role=alert] .compare", "* 6")
    console.sees(".editor .cm-content", "* 5")
    assert "* 6" in console.served.call("GET", f"/drafts/{theirs['draft_id']}?code=1")["code"]
    _change_another(console)
    console.tab.open(f"{console.served.url}/console/drafts/{theirs['draft_id']}")
    console.sees("[role=alert] .compare", "* 6")
    _change_another(console)
    console.click("[role=alert] button", "Take the other text")
    console.sees(".editor .cm-content", "* 6")
    console.sees("main h1", "Begun twice can be deployed")
