"""The authority of a run, as one object: never more than the manifest that was agreed to."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import AttemptOver, NotAgreed
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.auth.authority import Authority, CallTarget, Permissions
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.grants import ANY, WITH_CREDENTIALS
from codewords_mcp.runtime.model.manifest import PAGE_SERVICES, Manifest, StoredSecret, account_item
from codewords_mcp.runtime.services.registry import Registry

RUN = Caller("ann", "run", run_id="r1")
OTHERS = ("send_email", "openai", "flow_0a1b2c3d", "payments_99115e9a", "schedule_runs", "files")


def allowed(authority: Authority, require: str, *arguments: Any) -> bool:
    try:
        getattr(authority, require)(*arguments)
    except NotAgreed:
        return False
    return True


def begun(manifest: Manifest, hosts: tuple[str, ...] | None = (), *, service: str = "flow_1") -> Authority:
    authorities = Authorities()
    authorities.begin("r1", "ann", Permissions.of(service, "ann", manifest), hosts)
    return authorities.of(RUN)


@pytest.mark.requirement("authority:calls")
def test_a_run_calls_what_its_manifest_lists_and_itself() -> None:
    refused: list[tuple[str, str]] = []
    authorities = Authorities(lambda run_id, why: refused.append((run_id, why)))
    manifest = Manifest(services=("firecrawl",), models=("openai",), schedules=("0 9 * * *",))
    authorities.begin("r1", "ann", Permissions.of("flow_1", "ann", manifest), ())
    run = authorities.of(RUN)
    for name in ("firecrawl", "openai", "schedule_runs", "flow_1"):
        run.require_call(name)
    authorities.of(Caller("ann", "user")).require_call("anything")
    for name in ("anthropic", "other_1", "<b>", ANY):
        with pytest.raises(NotAgreed, match=r"add .* to `services` under \[tool.codewords\]") as caught:
            run.require_call(name)
        assert "<b>" not in str(caught.value)
    assert [run_id for run_id, _ in refused] == ["r1"] * 4


@pytest.mark.requirement("authority:operations")
def test_a_run_calls_the_operations_that_its_manifest_lists_and_no_others_of_that_service() -> None:
    refused: list[str] = []
    authorities = Authorities(lambda _run_id, why: refused.append(why))
    manifest = Manifest(services=("github: readme", "hunter: account", "reddit"), workflows=("acme",))
    authorities.begin("r1", "ann", Permissions.of("flow_1", "ann", manifest), ())
    run = authorities.of(RUN)

    run.require_call("github")
    run.require_operation("github", "readme")
    run.require_operation("hunter", "account")
    for operation in ("posts", "search", "one that comes later"):
        run.require_operation("reddit", operation)
    run.require_operation("acme", "anything")
    authorities.of(Caller("ann", "user")).require_operation("github", "user")

    for service, operation in (
        ("github", "user"),
        ("github", "readme "),
        ("hunter", "count"),
        ("files", "list"),
    ):
        with pytest.raises(NotAgreed, match=r"does not list the operation") as caught:
            run.require_operation(service, operation)
        assert f'add "{service}: {operation}" to `services` under [tool.codewords]' in str(caught.value)
    assert len(refused) == 4
    with pytest.raises(NotAgreed):
        run.require_account("hunter")


@pytest.mark.requirement("authority:unknown-run")
@pytest.mark.parametrize(
    "caller",
    [
        Caller("ann", "run", run_id="r2"),
        Caller("ann", "run"),
        Caller("ben", "run", run_id="r1"),
        Caller("ann", "run", run_id="ended"),
    ],
    ids=["never begun", "no run at all", "another owner's", "ended"],
)
def test_a_run_that_does_not_go_on_here_may_do_nothing(caller: Caller) -> None:
    authorities = Authorities()
    everything = Permissions.of("flow_1", "ann", Manifest(hosts=(ANY,), services=(ANY,)))
    authorities.begin("r1", "ann", everything, None)
    authorities.begin("ended", "ann", everything, None)
    authorities.end("ended")
    authorities.end("ended")
    with pytest.raises(AttemptOver, match="was not carried out"):
        authorities.of(caller)


@pytest.mark.requirement("authority:calls")
def test_any_workflow_is_no_service_and_no_model() -> None:
    run = begun(Manifest(workflows=(ANY,)))
    assert {name for name in OTHERS if allowed(run, "require_call", name)} == {
        "flow_0a1b2c3d",
        "payments_99115e9a",
    }


@pytest.mark.requirement("authority:targets")
def test_a_service_acts_on_targets_that_the_run_may_reach_itself() -> None:
    manifest = Manifest(
        hosts=("*.a.example",), pages=("b.example",), schedules=("@daily",), workflows=("flow_0a1b2c3d",)
    )
    run = begun(manifest, manifest.hosts)
    assert allowed(run, "require_target", "schedule_runs", CallTarget("workflow", "flow_0a1b2c3d"))
    assert allowed(run, "require_target", "schedule_runs", CallTarget("workflow", "flow_1"))
    assert not allowed(run, "require_target", "schedule_runs", CallTarget("workflow", "payments_99115e9a"))
    hosts = (
        "x.a.example",
        "X.A.Example.",
        "b.example",
        "c.example",
        "a.example",
        "a.example.evil.example",
        "",
    )
    reached = [
        host for host in hosts if allowed(run, "require_target", "firecrawl", CallTarget("host", host))
    ]
    assert reached == ["x.a.example", "X.A.Example.", "b.example"]
    assert not allowed(run, "require_target", "pipedream", CallTarget("host", "b.example")), (
        "no reader of pages"
    )


@pytest.mark.requirement("authority:made-by")
def test_a_run_sees_what_its_own_workflow_made() -> None:
    run = begun(Manifest())
    assert [maker for maker in (None, "", "flow_1", "flow_2") if run.sees(maker)] == ["flow_1"]
    assert Authorities().of(Caller("ann", "user")).sees("flow_2")


@pytest.mark.requirement("authority:calls")
def test_an_authority_cannot_be_changed() -> None:
    run = begun(Manifest())
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.owner = "ben"


_NAMES = st.sampled_from([*OTHERS, *PAGE_SERVICES, "pipedream", "anthropic", ANY, ""])
_HOSTS = st.sampled_from(["a.example", "*.a.example", "x.a.example", "b.example", "10.0.0.1", ANY])
_TUPLES = st.lists(_NAMES, max_size=3).map(tuple)
_OPERATIONS = st.sampled_from(["send_email: send", "send_email: outbox", "firecrawl: map"])
_SERVICES = st.lists(_NAMES | _OPERATIONS, max_size=3).map(tuple)
_MANIFESTS = st.builds(
    Manifest,
    hosts=st.lists(_HOSTS, max_size=2).map(tuple),
    pages=st.lists(_HOSTS, max_size=2).map(tuple),
    models=_TUPLES,
    services=_SERVICES,
    browsers=_TUPLES,
    workflows=_TUPLES,
    schedules=st.sampled_from([(), ("@daily",)]),
    actions=st.sampled_from([(), ("slack: send-message (writes)",), ("any app: any action (writes)",)]),
    connections=st.sampled_from([(), ("slack",), ("slack", "hubspot")]),
    secrets=st.sampled_from([(), (StoredSecret(name="A"),), (StoredSecret(name="B", hosts=("a.example",)),)]),
)


@pytest.mark.requirement("authority:never-more")
@given(
    wide=_MANIFESTS,
    narrow=_MANIFESTS,
    name=_NAMES,
    host=_HOSTS,
    app=st.sampled_from(["slack", "hubspot", "http"]),
)
def test_whatever_a_run_may_do_was_agreed_to(
    wide: Manifest, narrow: Manifest, name: str, host: str, app: str
) -> None:
    """With what a manifest does not list, no run of it may do it; with a manifest within another, no run may do more."""
    run = begun(narrow, None if narrow.any_host else narrow.hosts)
    names = {service.partition(":")[0] for service in narrow.services}
    listed = {*narrow.models, *names, *narrow.workflows}
    if allowed(run, "require_call", name):
        assert name in listed | {"flow_1"} or ANY in listed or (name == "schedule_runs" and narrow.schedules)
    for service in (*PAGE_SERVICES, "pipedream", "files"):
        if allowed(run, "require_target", service, CallTarget("host", host)):
            pages = narrow.pages if service in PAGE_SERVICES else ()
            assert {host, ANY, "*.a.example"} & {*narrow.hosts, *pages}
    for operation in ("send", "outbox"):
        if allowed(run, "require_operation", "send_email", operation):
            assert {ANY, "send_email", f"send_email: {operation}"} & {
                *narrow.models, *narrow.services, *narrow.workflows
            }  # fmt: skip
    if allowed(run, "require_action", app, "send-message"):
        assert narrow.actions or ANY in narrow.services
        assert app == "http" or app in narrow.connections
    assert allowed(run, "require_chrome") == bool(narrow.browsers)
    if not narrow.widens(wide):
        more = begun(wide, None if wide.any_host else wide.hosts)
        for require, arguments in (
            ("require_call", (name,)),
            ("require_operation", ("send_email", "send")),
            ("require_operation", ("send_email", "outbox")),
            ("require_target", ("firecrawl", CallTarget("host", host))),
            ("require_chrome", ()),
        ):
            assert allowed(more, require, *arguments) or not allowed(run, require, *arguments), require


@pytest.mark.requirement("authority:asks-credentials")
def test_the_question_says_of_each_service_whose_credential_it_acts_with() -> None:
    registry = Registry({})
    models = {"anthropic", "gemini", "openai"}
    with_credentials = {service.name for service in registry.all() if service.credentials} - models
    assert set(WITH_CREDENTIALS) >= with_credentials
    for service in registry.all():
        words = WITH_CREDENTIALS.get(service.name, "")
        named = [one for one in service.credentials if one.name in words]
        assert (
            not words.startswith("your ")
            or named
            or "key of a model provider" in words
            or not service.credentials
        )


@pytest.mark.requirement("gateway:account")
def test_the_account_at_a_provider_is_used_only_where_the_manifest_lists_it() -> None:
    listed = begun(Manifest(models=("openai", account_item("openai"))))
    listed.require_account("openai")
    assert not allowed(listed, "require_account", "gemini")
    for manifest in (Manifest(models=("openai",)), Manifest(services=(ANY,), models=("openai",))):
        with pytest.raises(NotAgreed, match=r'add "openai: account" to `services` under \[tool.codewords\]'):
            begun(manifest).require_account("openai")
    Authorities().of(Caller("ann", "user")).require_account("openai")
