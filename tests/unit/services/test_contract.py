"""What every library service keeps to, whoever wrote it; and how another package adds one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from codewords_mcp.cli._remedies import worded
from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.service_table import SERVICES as BUILT_IN
from codewords_mcp.runtime.services import PLANNED, registry
from codewords_mcp.runtime.services.base import Operation, Service, Unavailability
from codewords_mcp.runtime.services.describe import describe
from codewords_mcp.runtime.services.registry import Registry
from codewords_mcp.runtime.services.service_input import parse_input
from codewords_mcp.runtime.workflows.validation.needed_secrets import check_services

SERVICES = {service.name: service for service in Registry({}).all()}
FOLDER = Path(registry.__file__).parent
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "services.md"
OPERATIONS = [
    pytest.param(service, operation, id=f"{service.name}/{operation.path}")
    for service in SERVICES.values()
    for operation in service.operations
]


@pytest.mark.requirement("services:protocol")
def test_every_line_of_the_registry_is_a_service_of_that_name() -> None:
    assert list(SERVICES) == Registry({}).names
    assert {"openai", "anthropic", "gemini", "schedule_runs"} <= set(SERVICES)
    assert not PLANNED & set(SERVICES)


@pytest.mark.requirement("services:protocol")
def test_each_file_of_a_service_is_listed_and_imports_no_other() -> None:
    files = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("[a-z]*.py")}
    modules = {
        name: tree
        for name, tree in files.items()
        if name not in {"base", "describe", "registry", "service_input"}
    }
    assert set(modules) == set(BUILT_IN)
    for name, tree in modules.items():
        imported = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        others = [f"{registry.__package__}.{other}" for other in modules if other != name]
        assert [one for one in imported if one.startswith(tuple(f"{other}." for other in others))] == []
        assert imported.isdisjoint(others)


@pytest.mark.requirement("services:protocol")
@pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
def test_a_service_says_what_it_does_and_where_its_credentials_are_had(service: Service) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", service.name)
    assert service.title
    assert service.summary.endswith(".")
    paths = [path for operation in service.operations for path in operation.paths]
    assert len(paths) == len(set(paths))
    for credential in service.credentials:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", credential.name)
        assert credential.how.endswith(".")
    assert describe(service).ready == all(credential.without for credential in service.credentials)
    assert describe(service, unavailable=Unavailability("Not today.")).ready is False


@pytest.mark.requirement("services:protocol")
def test_a_check_of_a_service_that_refuses_all_calls_has_its_fix_and_remedy() -> None:
    remedy = Remedy(RemedyAction.PAIR_BROWSER)
    refused = Unavailability("There is none.", f"{remedy.words} Or wait.", remedy)
    info = describe(SERVICES["chrome_extension"], unavailable=refused)
    (check,) = check_services([info], ())
    assert check.message == "chrome_extension cannot be used now: There is none."
    assert (check.status, check.fix, check.remedy) == ("warning", refused.fix, remedy)
    assert worded(check.fix, remedy.to_dict()) == "`codewords browser pair` pairs one. Or wait."


@pytest.mark.requirement("services:protocol")
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_an_operation_describes_itself(service: Service, operation: Operation) -> None:
    assert operation.summary
    assert not operation.summary.endswith(".")
    assert operation.path == operation.path.strip("/")
    for path in operation.paths:
        assert service.find(f"/{path}/".replace("*", "x")) is operation
    for model in (operation.input, operation.output):
        assert issubclass(model, BaseModel)
        assert model.model_json_schema()["type"] == "object"
    assert operation.example is not None, "a reader wants to see one"
    parse_input(operation.input, operation.example)


@pytest.mark.requirement("services:effects")
def test_only_operations_that_send_change_or_act_on_nothing_read() -> None:
    reading = {
        f"{service.name}/{operation.path}"
        for service in SERVICES.values()
        for operation in service.operations
        if operation.effect == "reads"
    }
    assert reading == {
        "anthropic/", "database/query", "database/tables", "files/link", "files/list", "files/read", "firecrawl/map", "gemini/", "github/readme",
        "github/repository", "github/search_code", "github/search_issues", "github/search_profiles",
        "github/search_repositories", "github/user", "mcp/tools", "hunter/account", "hunter/count", "hunter/domain_search",
        "hunter/find_email", "hunter/verify_email", "openai/", "reddit/comments", "reddit/posts", "reddit/search",
        "searchapi/search", "send_email/outbox", "slack_trigger/registrations", "user_login/me",
        "wait/", "webpage_to_markdown/", "whatsapp_trigger/registrations",
    }  # fmt: skip


@pytest.mark.requirement("services:effects")
@pytest.mark.parametrize(
    ("name", "data", "effect"),
    [
        ("redis_coordinator", {"action": "get", "key": "k"}, "reads"),
        ("redis_coordinator", {"operation": "keys"}, "reads"),
        ("redis_coordinator", {"action": "set", "key": "k"}, "writes"),
        ("redis_coordinator", {"action": "lrange", "key": "k"}, "reads"),
        ("redis_coordinator", {"operation": "scan"}, "reads"),
        ("redis_coordinator", {"action": "lpop", "key": "k"}, "writes"),
        ("redis_coordinator", {"action": "cas", "key": "k"}, "writes"),
        ("redis_coordinator", {}, "writes"),
        ("schedule_runs", {"operation": "list"}, "reads"),
        ("schedule_runs", {}, "writes"),
        ("pipedream", {"operation": "search", "query": "mail"}, "reads"),
        ("pipedream", {"operation": "check_auth", "app": "slack"}, "writes"),
        ("pipedream", {"app": "slack", "action": "send-message"}, "writes"),
        ("firecrawl", {"url": "https://example.org/", "waitFor": 100}, "reads"),
        ("firecrawl", {"url": "https://example.org/", "actions": [{"type": "click"}]}, "writes"),
        ("firecrawl", {"url": "https://example.org/", "unknown": 1}, "writes"),
    ],
)
def test_an_operation_that_does_several_things_writes_unless_its_input_only_reads(
    name: str, data: dict[str, object], effect: str
) -> None:
    operation = SERVICES[name].find("")
    assert operation.effect_of(parse_input(operation.input, data)) == effect


@pytest.mark.requirement("services:protocol")
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
@pytest.mark.parametrize("wrong", [[], "text", {"no such field": 1}, None])
def test_what_does_not_fit_gets_a_sentence_that_shows_nothing_of_it(
    service: Service, operation: Operation, wrong: object
) -> None:
    if isinstance(wrong, dict) and operation.input.model_config.get("extra") in {"allow", "ignore"}:
        return  # it takes what another API takes
    with pytest.raises(InvalidInput) as caught:
        parse_input(operation.input, wrong)
    assert "no such field" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.requirement("services:protocol")
def test_a_path_that_a_service_lacks_is_told_with_those_it_has() -> None:
    with pytest.raises(NotFound) as caught:
        SERVICES["schedule_runs"].find("/nowhere")
    assert caught.value.hint == "Its paths are /."


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path of imports, with what pip writes for an installed package."""
    info = tmp_path / "lottery-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lottery\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)  # pyright: ignore[reportUnknownMemberType]
    return tmp_path


def _entry(folder: Path, *lines: str) -> None:
    text = "\n".join([f"[{registry.ENTRY_POINT_GROUP}]", *lines, ""])
    (folder / "lottery-1.0.dist-info" / "entry_points.txt").write_text(text, encoding="utf-8")


def guide_service() -> str:
    """The service of the guide, as it stands there."""
    text = GUIDE.read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "SERVICE =" in block]
    return code


def guide_calls() -> list[ast.Call]:
    """Every call of a service that the guide shows."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block))]
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "client.run"]


@pytest.mark.requirement("services:protocol")
def test_every_call_that_the_guide_shows_is_one_that_its_service_takes() -> None:
    shown: set[str] = set()
    for call in guide_calls():
        [name] = [ast.literal_eval(value) for value in call.args]
        more = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        parse_input(SERVICES[name].find(more.get("path", "")).input, more["inputs"])
        shown.add(name)
    assert shown == set(SERVICES) - {"openai", "anthropic", "gemini"}


@pytest.mark.requirement("services:outside")
def test_the_guides_service_of_another_package_is_found(outside: Path) -> None:
    code = guide_service()
    assert len(code.splitlines()) < 40
    (outside / "lottery.py").write_text(code, encoding="utf-8")
    _entry(outside, "lottery = lottery:SERVICE")
    found = Registry()
    assert found.names[-1] == "lottery"
    service = found.find("lottery")
    assert service is not None
    assert describe(service).operations[0].input["properties"]


@pytest.mark.requirement("services:outside")
def test_another_package_can_neither_break_nor_replace_ours(outside: Path) -> None:
    (outside / "lottery_bad.py").write_text("SERVICE = 5\nraise_later = 1\n", encoding="utf-8")
    (outside / "lottery_worse.py").write_text("raise SystemError('at import')\n", encoding="utf-8")
    _entry(outside, "openai = lottery_bad:SERVICE", "odd = lottery_bad:SERVICE", "worse = lottery_worse:SERVICE", "gone = not_there:X")  # fmt: skip
    found = Registry()
    openai = found.find("openai")
    assert openai is not None
    assert openai.title == "OpenAI"
    assert [found.find(name) for name in ("odd", "worse", "gone")] == [None, None, None]
    assert [service.name for service in found.all()] == list(SERVICES)
