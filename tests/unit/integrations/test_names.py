"""Names, fields and rights of integrations, each alone."""

from __future__ import annotations

import pytest
from tests.support.runtime import workflow

from codewords_mcp.errors import InvalidInput, NotAgreed
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.integrations.configure import configure_props, require_complete
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.integration import Action, Prop
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.script import parse_script

RUN = Caller("ann", "run", run_id="run-1")


@pytest.mark.requirement("integrations:names")
@pytest.mark.parametrize(
    ("app", "name", "first"),
    [
        ("stripe", "create-refund", "stripe-create-refund"),
        ("stripe", "stripe-create-refund", "stripe-create-refund"),
        ("airtable", "list-records", "airtable-list-records"),
        ("google_sheets", "add_single_row", "google_sheets-add-single-row"),
    ],
)
def test_a_name_gives_the_keys_that_it_may_be(app: str, name: str, first: str) -> None:
    assert names.candidates(app, name)[0] == first


@pytest.mark.requirement("integrations:names")
def test_names_are_read_as_people_write_them_and_nothing_else_is_one() -> None:
    assert names.app_name(" Google Sheets ") == "google_sheets"
    assert names.app_name("google-sheets") == "google_sheets"
    assert names.action_name("Send Message") == "send-message"
    for bad in ("", "../x", "a b\nc/..", "x" * 101, "ü", "a.b"):
        assert names.app_name(bad) == ""
    for bad in ("", "a?b", "x" * 201, "ü", "a\0b"):
        assert names.action_name(bad) == ""


@pytest.mark.requirement("integrations:granted")
def test_a_plain_name_that_is_declared_covers_the_apps_that_it_stands_for() -> None:
    assert names.covers("slack", "slack_v2")
    assert names.covers("airtable_oauth", "airtable")
    assert not names.covers("slack", "slackbot")
    assert not names.covers("google_sheets", "google_drive")


@pytest.mark.requirement("integrations:granted")
@pytest.mark.parametrize(
    ("app", "action", "passes"),
    [
        ("slack", "send-message", True),
        ("slack", "slack-send-message", True),
        ("slack", "delete-message", False),
        ("stripe", "send-message", False),
        ("hubspot", "anything-at-all", True),
        ("http", "request", False),
    ],
)
def test_a_run_does_what_its_manifest_lists(app: str, action: str, passes: bool) -> None:
    refusals: list[str] = []
    authorities = Authorities(lambda _run, sentence: refusals.append(sentence))
    manifest = Manifest(
        services=("pipedream",),
        actions=("hubspot: any action (writes)", "slack: send-message (writes)"),
        connections=("hubspot", "slack"),
    )
    authorities.begin("run-1", RUN.owner, Permissions.of("flow_0a1b2c3d", RUN.owner, manifest), None)
    if passes:
        authorities.of(RUN).require_action(app, action)
    else:
        with pytest.raises(NotAgreed):
            authorities.of(RUN).require_action(app, action)
    assert bool(refusals) is not passes
    authorities.of(Caller("ann", "user")).require_action(app, action)


@pytest.mark.requirement("integrations:granted")
@pytest.mark.parametrize(
    ("call", "actions"),
    [
        (
            'c.run("pipedream", data={"app": "slack", "action": "send-message"})',
            ("slack: send-message (writes)",),
        ),
        ('c.run("pipedream", data={"operation": "check_auth", "app": "slack"})', ()),
        ('c.discover_pipedream_integrations(operation="check_auth", app_slug="slack")', ()),
        ('c.discover_pipedream_integrations("execute", "slack", "list-users")', ("slack: list-users",)),
        ('c.discover_pipedream_integrations(what, "slack", "x-y")', ("slack: x-y (writes)",)),
        ('httpx.post(RUNTIME + "/run/pipedream/", json={})', ("any app: any action (writes)",)),
    ],
)
def test_the_manifest_lists_what_a_program_does_with_integrations(
    call: str, actions: tuple[str, ...]
) -> None:
    code = workflow(
        "import httpx, os\nfrom codewords_client import CodewordsClient\n"
        'RUNTIME = os.environ["CODEWORDS_RUNTIME_URI"]\n'
        f"def use(what):\n    c = CodewordsClient()\n    return {call}\n",
        env=("CODEWORDS_RUNTIME_URI", "PIPEDREAM_SLACK_ACCESS"),
    )
    manifest = derive(parse_script(code)).manifest
    assert manifest.actions == actions
    assert manifest.services == ("pipedream",)
    assert manifest.connections == ("slack",)


ACTION = Action(
    key="app-do",
    app="app",
    name="Do",
    props=(
        Prop(name="app", type="app", app="app"),
        Prop(name="title", required=True),
        Prop(name="count", type="integer"),
        Prop(name="tags", type="string[]"),
        Prop(name="state", options=("open", "closed"), default="open"),
        Prop(name="where", remote=True, required=True, with_label=True),
    ),
)


@pytest.mark.requirement("integrations:props")
def test_fields_are_put_into_the_brokers_own_form() -> None:
    props = configure_props(ACTION, {"title": 7, "where": "C1"}, {"app": "apn_1"})
    assert props == {
        "app": {"authProvisionId": "apn_1"},
        "title": "7",
        "state": "open",
        "where": {"__lv": {"label": "C1", "value": "C1"}},
    }
    require_complete(ACTION, props)


@pytest.mark.requirement("integrations:props")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"count": "secret-1"}, "`count` must be of type integer"),
        ({"count": True}, "`count` must be of type integer"),
        ({"tags": "secret-1"}, "`tags` must be a list"),
        ({"state": "secret-1"}, "`state` must be one of: open, closed"),
        ({"Title": "secret-1"}, "did you mean `title`"),
        ({"title": {"a": "secret-1"}}, "`title` must be of type string"),
    ],
)
def test_a_wrong_field_is_named_without_its_value(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        configure_props(ACTION, given, {})
    assert says in raised.value.message
    assert "secret-1" not in str(raised.value)
