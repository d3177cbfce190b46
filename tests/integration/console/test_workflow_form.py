"""The form of a workflow: values arrive as they were entered, faults are told first, no schema escapes its bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.console.helpers import Console
from tests.support.runtime import workflow
from tests.support.waiting import until

_FORM = workflow(
    '''
from datetime import date, datetime, time
from typing import Any, Literal, Optional, Union
from pydantic import BaseModel, ConfigDict, Field

class Person(BaseModel):
    name: str
    age: int = 7
    manager: Optional["Person"] = None

class Mail(BaseModel):
    kind: Literal["mail"] = "mail"
    address: str

class Chat(BaseModel):
    kind: Literal["chat"] = "chat"
    channel: str = "#general"

class Order(BaseModel):
    title: str = Field(min_length=2, max_length=20)
    text: str = Field("", max_length=4000)
    pages: int = Field(3, ge=1, le=20)
    share: float = 0.5
    draft: bool = False
    tone: Literal["plain", "formal"] = "plain"
    day: date
    at: Optional[datetime] = None
    clock: Optional[time] = None
    tags: list[str] = []
    numbers: list[int] = []
    people: list[Person] = []
    send_to: Union[Mail, Chat, None] = None
    limit: Union[int, str] = 10
    nick: Optional[str] = None
    source_file: Optional[str] = None
    extra: dict[str, Any] = {}

@app.post("/")
async def main(order: Order):
    return order.model_dump(mode="json", exclude_unset=True)

@app.get("/found/{name}")
async def found(name: str, most: int, deep: bool = False):
    return {"name": name, "most": most, "deep": deep}

class Hostile(BaseModel):
    """\\u202e<script>window.hacked = 1</script>"""
    model_config = ConfigDict(title="<img src=x onerror=window.hacked=1>")
    odd: str = Field("x", alias="<img src=y onerror=window.hacked=1>\\u202e", title="<b onmouseover=window.hacked=1>\\u202egnp</b>",
                     description="<a href='javascript:window.hacked=1'>\\u202e</a>", pattern="^(a+)+$")
    constructor: int = 3
    choice: Literal["<i>\\u202e</i>", "b"] = "b"

@app.post("/hostile")
async def hostile(order: Hostile):
    return order.model_dump(mode="json", by_alias=True)
''',
    title="Form",
)
_SET = """(() => {
    const field = document.getElementById(%s);
    field.value = %s;
    field.dispatchEvent(new Event('input', {bubbles: true}));
    field.dispatchEvent(new Event('change', {bubbles: true}));
})()"""
_MODULE = "import(new URL('as-written/parts/%s.js', document.querySelector('script[type=module]').src))"


@pytest.fixture(scope="session")
def form_id(signed_in: Console) -> str:
    return signed_in.served.deploy(_FORM, "Form")


@pytest.fixture
def form(console: Console, form_id: str) -> Console:
    """The page of the workflow, its form open and empty."""
    shown = Console(console.tab, console.served, form_id)
    shown.open(f"/console/workflows/{form_id}", "Form")
    shown.sees(".run-form button", "Run Form")
    return shown


def _enter(form: Console, name: str, text: str) -> None:
    field = f"field{name}" if name.startswith("address") else f"fieldinput/{name}"
    form.waits(f"document.getElementById({json.dumps(field)})")
    form.tab.value(_SET % (json.dumps(field), json.dumps(text)))


def _sent(form: Console, button: str = "Run Form") -> dict[str, Any]:
    """Press a button of the form; the record of the run, once it has ended."""
    form.click(".run-form .actions button", button)
    form.waits("location.pathname.startsWith('/console/runs/')")
    run_id = str(form.tab.value("location.pathname.split('/').pop()"))
    until(lambda: form.record(run_id)["completedAt"], f"the end of run {run_id}")
    return form.record(run_id)


@pytest.mark.requirement("console:form")
def test_each_kind_of_field_sends_what_was_entered(form: Console) -> None:
    zone = form.tab.value("new Date(2026, 2, 20, 9, 30).getTimezoneOffset()")
    for name, text in {
        "title": "Week <12>", "text": "one\ntwo", "pages": "7", "share": "0.25", "tone": "1", "day": "2026-03-20",
        "at": "2026-03-20T09:30", "clock": "10:15", "nick": "Ann", "limit": "12", "source_file": "https://example.org/a.csv",
        "extra": '{"deep": [1, null]}',
    }.items():  # fmt: skip
        _enter(form, name, text)
    form.tab.value("document.getElementById('fieldinput/draft').click()")
    for group, count in (("Tags", 2), ("Numbers", 1), ("People", 1)):
        for _ in range(count):
            form.click(".run-form button", f"Add to {group}")
    for name, text in {"tags/0": "a", "tags/1": "b", "numbers/0": "-4", "people/0/name": "Bo"}.items():
        _enter(form, name, text)
    form.click(".run-form button", "Give Send to")
    form.tab.value(
        "(choice => { choice.value = '1'; choice.dispatchEvent(new Event('change', {bubbles: true})); })"
        "([...document.querySelectorAll('.of-kind select')].find(one => one.innerText.includes('Chat')))"
    )
    _enter(form, "send_to/channel", "#news")

    record = _sent(form)
    assert record["responseStatus"] == 200, record["responseContent"]
    sent = json.loads(record["requestContent"])
    assert zone == 0
    assert sent.pop("at") == "2026-03-20T09:30:00+00:00"
    assert sent == {
        "title": "Week <12>", "text": "one\ntwo", "pages": 7, "share": 0.25, "draft": True, "tone": "formal",
        "day": "2026-03-20", "clock": "10:15", "tags": ["a", "b"], "numbers": [-4], "people": [{"name": "Bo", "age": 7}],
        "send_to": {"kind": "chat", "channel": "#news"}, "limit": 12, "nick": "Ann",
        "source_file": "https://example.org/a.csv", "extra": {"deep": [1, None]},
    }  # fmt: skip


@pytest.mark.requirement("console:form")
def test_faults_are_told_beside_their_fields_and_nothing_is_sent(form: Console) -> None:
    for name, text in {"title": "x", "pages": "70", "share": "half", "extra": "{"}.items():
        _enter(form, name, text)
    form.tab.requested.clear()
    form.click(".run-form .actions button", "Run Form")
    form.sees(".run-form > form > .bad", "5 fields need another value")
    told = {
        name: form.tab.value(f"document.getElementById('fieldinput/{name}-hint').innerText")
        for name in ("title", "pages", "share", "day", "extra")
    }
    assert "At least 2 characters." in told["title"]
    assert "At most 20." in told["pages"]
    assert "Enter a number" in told["share"]
    assert "This is needed." in told["day"]
    assert "This is not JSON" in told["extra"]
    form.waits("document.activeElement.id === 'fieldinput/title'")
    assert form.tab.value("location.pathname").startswith("/console/workflows/")
    assert not any("/run_async/" in url for url in form.tab.requested)


@pytest.mark.requirement("console:form")
def test_json_is_the_way_out_and_recent_inputs_come_back(form: Console) -> None:
    form.click(".run-form button", "JSON")
    form.waits("document.getElementById('input-json')")
    form.tab.value(_SET % ('"input-json"', '"{"'))
    form.sees("#input-json-hint", "This is not JSON")
    asked = {"title": "By hand", "day": "2026-01-02", "limit": 9007199254740991}
    form.tab.value(_SET % ('"input-json"', json.dumps(json.dumps(asked))))
    record = _sent(form, "Dry run")
    assert record["mode"] == "dry_run"
    assert json.loads(record["requestContent"]) == asked

    form.open(f"/console/workflows/{form.workflow}", "Form")
    form.sees(".run-form option", "By hand")
    form.tab.value(
        "(option => { option.selected = true; option.parentElement.dispatchEvent(new Event('change', {bubbles: true})); })"
        "([...document.querySelectorAll('.run-form option')].find(one => one.innerText.includes('By hand')))"
    )
    form.waits("document.getElementById('fieldinput/title').value === 'By hand'")


@pytest.mark.requirement("console:form")
def test_values_in_an_address_are_sent_in_it(form: Console) -> None:
    form.tab.value(
        "(choice => { choice.value = [...choice.options].find(one => one.innerText.includes('/found/')).value;"
        " choice.dispatchEvent(new Event('change', {bubbles: true})); })(document.querySelector('.run-form select'))"
    )
    _enter(form, "address/name", "a/b c")
    _enter(form, "address/most", "5")
    record = _sent(form)
    assert record["requestMethod"] == "GET"
    assert record["requestPath"] == "/found/a%2Fb%20c?deep=false&most=5"


@pytest.mark.requirement("console:form")
def test_an_uploaded_file_is_given_by_its_address(form: Console) -> None:
    form.tab.value(
        "(input => { const files = new DataTransfer(); files.items.add(new File(['a,b\\n1,2'], 'numbers.csv'));"
        " input.files = files.files; input.dispatchEvent(new Event('change', {bubbles: true})); })(document.querySelector('.upload input[type=file]'))"
    )
    form.waits("document.getElementById('fieldinput/source_file').value.includes('/file/')")
    address = form.tab.value("document.getElementById('fieldinput/source_file').value")
    assert form.tab.value(f"fetch({json.dumps(address)}).then(answer => answer.text())") == "a,b\n1,2"


@pytest.mark.requirement("console:form-bounds")
def test_a_hostile_schema_is_text(form: Console) -> None:
    form.tab.value(
        "(choice => { choice.value = [...choice.options].find(one => one.innerText.includes('/hostile')).value;"
        " choice.dispatchEvent(new Event('change', {bubbles: true})); })(document.querySelector('.run-form select'))"
    )
    form.sees(".run-form label", "<b onmouseover=window.hacked=1>⟨U+202E⟩gnp</b>")
    form.sees(".run-form .hint", "javascript:window.hacked=1")
    assert (
        form.tab.value(
            "document.querySelectorAll('main img, main [onmouseover], main a[href^=javascript]').length"
        )
        == 0
    )
    assert "\u202e" not in form.tab.value("document.body.innerText")
    assert form.tab.value("document.getElementById('fieldinput/constructor').value") == "3"
    long_text = f"{'a' * 40}!"
    field = next(
        one
        for one in form.tab.value("[...document.querySelectorAll('.run-form input')].map(one => one.id)")
        if "onerror" in one
    )
    form.tab.value(_SET % (json.dumps(field), json.dumps(long_text)))
    form.waits(f"document.getElementById({json.dumps(field)}).value.endsWith('!')")
    assert form.tab.value("window.hacked") is None
    assert form.tab.problems == []


@pytest.mark.requirement("console:form-bounds")
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {
            "type": "object",
            "properties": {name: {"$ref": "#"} for name in "abc"},
            "required": ["a", "b", "c"],
        },
        {"type": {}, "anyOf": {}, "properties": [], "required": 3, "enum": "no", "items": None},
        {"type": "object", "properties": {"__proto__": {"type": "string", "default": "x"}}},
    ],
)
def test_references_to_themselves_are_bounded(form: Console, schema: dict[str, Any]) -> None:
    script = (
        f"Promise.all([{_MODULE % 'schema'}, {_MODULE % 'check'}]).then(([schemas, checks]) => {{"
        f" const schema = JSON.parse({json.dumps(json.dumps(schema))}); const start = schemas.initial(schema, schema);"
        " const kind = schemas.kindOf(schemas.shown(schema, schema), schema, 'x', 0);"
        " return [kind, JSON.stringify(start ?? null).length, Object.keys(checks.check(start, schema, schema)).length, ({}).x ?? null]; })"
    )
    kind, size, faults, polluted = form.tab.value(script)
    assert isinstance(kind, str)
    assert size < 200_000
    assert faults < 20_000
    assert polluted is None


@pytest.mark.requirement("console:form-bounds")
def test_a_person_opens_a_value_in_itself_step_by_step(form: Console) -> None:
    form.click(".run-form button", "Add to People")
    for depth in range(3):
        inside = f"people/0/{'manager/' * depth}name"
        _enter(form, inside, f"Boss {depth}")
        if form.tab.value(
            "[...document.querySelectorAll('.run-form button')].some(one => one.innerText === 'Give Manager')"
        ):
            form.click(".run-form button", "Give Manager")
        else:
            break
    assert form.tab.value("document.querySelectorAll('.run-form input').length") < 60
