"""As a chat host does it: a real client on the door of a real runtime that has no provider's key."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CreateMessageRequestParams, CreateMessageResult, ElicitResult, TextContent
from tests.integration.authoring.tasks import WORDS, code_of
from tests.support.mcp_clients import data_of, in_process, text_of
from tests.support.runtime import ADMIN, ALLOWED, make_home, open_runtime, workflow

from codewords_mcp.runtime.api.runtime import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EXAMPLE = """
@app.post("/")
async def echo(request: Request):
    return await request.json()
"""
BODY = """
from pydantic import BaseModel

class Order(BaseModel):
    prices: dict[str, int] = {"pear": 3}
    item: str = "pear"

@app.post("/")
async def price(order: Order):
    print("STEPLOG START look-up")
    return {"price": order.prices[order.item]}
"""


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        async with open_runtime(make_home(tmp_path_factory.mktemp("home"))) as opened:
            yield opened


def tokens(text: str) -> int:
    """As benchmarks/tool_tokens.py estimates them."""
    path = Path(__file__).parents[3] / "benchmarks" / "tool_tokens.py"
    spec = importlib.util.spec_from_file_location("tool_tokens", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.estimate(text))


async def _call(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    result = await client.call_tool(tool, arguments)
    return data_of(result), text_of(result)


@pytest.mark.requirement("author:keyless", "author:tools")
async def test_without_a_key_the_brief_leads_by_its_own_words_to_a_run_in_6000_tokens(
    runtime: Runtime,
) -> None:
    spent = 0
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        listed = await client.list_tools()
        spent += sum(
            tokens(json.dumps({"name": t.name, "description": t.description, "inputSchema": t.input_schema}))
            for t in listed.tools
        )
        got, text = await _call(client, "generate_workflow", description="Takes a text, counts its words.")
        assert got["status"] == "brief"
        assert "edit_workflow(code=" in got["next"]
        spent += tokens(text)
        made, text = await _call(client, "edit_workflow", code=code_of(WORDS))
        spent += tokens(text)
        following = re.search(r"Next: (deploy_workflow\(.*\))", text)
        assert following is not None
        assert made["draft"]["draft_id"] in following[1]
        live, text = await _call(client, "deploy_workflow", draft_id=made["draft"]["draft_id"], revision=1)
        spent += tokens(text)
        ran, text = await _call(
            client, "run_workflow", workflow_id=live["workflow_id"], input={"text": "a b"}
        )
        spent += tokens(text)
    assert ran["result"]["words"] == 2
    assert spent <= 6_000


@pytest.mark.requirement("testing:example", "author:tools")
async def test_a_new_draft_proposes_a_test_that_one_call_keeps_and_a_deploy_runs(runtime: Runtime) -> None:
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        made, text = await _call(client, "edit_workflow", code=workflow(BODY, title="Tested"))
        call = made["draft"]["test"]
        assert call in text
        assert tokens(call) < 150
        kept = re.fullmatch(r'edit_workflow\(workflow_id="(draft_\w+)", edits=(\[.*\])\)', call)
        assert kept is not None
        edited, _ = await _call(client, "edit_workflow", workflow_id=kept[1], edits=json.loads(kept[2]))
        assert '+# expect = ["$.price: number"]' in edited["diff"]
        assert edited["draft"]["ready"]
        assert "test" not in edited["draft"]
        read, _ = await _call(client, "get_workflow", workflow_id=kept[1])
        assert not read.get("test")
        # The same code with another answer is told before anything is live.
        edits = [{"old": '{"price": order.prices[order.item]}', "new": '{"cost": 3}'}]
        broken, told = await _call(client, "edit_workflow", workflow_id=kept[1], edits=edits)
        assert "it has no `$.price`" in told
        assert broken["draft"]["ready"], "a warning keeps nothing from going on"
        live, told = await _call(client, "deploy_workflow", draft_id=kept[1])
        assert live["status"] == "deployed"
        assert "it has no `$.price`" in told
        detail = await runtime.workflows.get(ADMIN, live["workflow_id"])
        assert detail.expect == ["$.price: number"]


@pytest.mark.requirement("author:keyless")
async def test_a_client_that_offers_its_model_is_asked(runtime: Runtime) -> None:
    asked: list[CreateMessageRequestParams] = []
    answers = [code_of(WORDS).replace("len(asked.text)", "len(asked.texts)"), code_of(WORDS)]

    async def model(_: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
        asked.append(params)
        said = TextContent(type="text", text=f"```python\n{answers[len(asked) - 1]}```")
        return CreateMessageResult(role="assistant", content=said, model="theirs", stop_reason="endTurn")

    async with in_process(runtime, runtime.settings, ADMIN, "legacy", sampling_callback=model) as client:
        got, text = await _call(
            client, "generate_workflow", description="Counts words by the client's model."
        )
    assert got["status"] == "ready", text
    assert got["draft"]["model"] == "the client's model"
    assert len(asked) == 2
    assert "PEP 723" in (asked[0].system_prompt or "")
    assert got["draft"]["test"] in text
    assert "$.words: number" in got["draft"]["test"]
    assert "Next: deploy_workflow(" in text


@pytest.mark.requirement("author:tools", "author:diagnosis")
async def test_a_failed_run_is_diagnosed_repaired_by_an_edit_and_deployed(runtime: Runtime) -> None:
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        made, _ = await _call(client, "edit_workflow", code=workflow(BODY, title="Prices"))
        live, _ = await _call(client, "deploy_workflow", draft_id=made["draft"]["draft_id"])
        service = live["workflow_id"]
        unfit, _ = await _call(client, "run_workflow", workflow_id=service, input={"item": 3})
        assert unfit["next"] == f'get_workflow(workflow_id="{service}")'
        ran, _ = await _call(client, "run_workflow", workflow_id=service, input={"item": "fig"})
        assert ran["status"] == "failed"
        assert ran["diagnosis"]["at"][-1].endswith("order.prices[order.item]}")
        assert "logs" not in ran, "the diagnosis says it in fewer words"
        looked, text = await _call(client, "get_run", run_id=ran["run_id"], log_lines=0)
        why = looked["diagnosis"]
        assert (why["step"], why["error"]) == ("look-up", "KeyError: 'fig'")
        assert why["at"][-1].endswith("order.prices[order.item]}")
        assert why["input"] == '{"item": "fig"}'
        assert ">" in why["around"]
        assert "order.prices[order.item]" in why["around"]
        assert looked["next"] == f'edit_workflow(workflow_id="{service}", edits=[…])'
        assert tokens(text) < 800
        edits = [{"old": "order.prices[order.item]", "new": "order.prices.get(order.item)"}]
        edited, told = await _call(client, "edit_workflow", workflow_id=service, edits=edits)
        assert "No check changed." in told
        assert "+    return" in edited["diff"]
        compared, _ = await _call(client, "get_workflow", workflow_id=edited["draft"]["draft_id"], diff=0)
        assert compared["diff"] == edited["diff"]
        listed, _ = await _call(client, "list_workflows", query="prices")
        assert [one["draft_id"] for one in listed["drafts"]] == [edited["draft"]["draft_id"]]
        again, _ = await _call(client, "deploy_workflow", draft_id=edited["draft"]["draft_id"])
        assert (again["workflow_id"], again["version"]) == (service, 2)
        seen, _ = await _call(client, "get_workflow", workflow_id=service)
        assert "code" not in seen
        stale = await client.call_tool("edit_workflow", {"workflow_id": service, "edits": edits})
        assert stale.is_error
        assert "not in the code" in text_of(stale)


@pytest.mark.requirement("author:delete", "author:tools")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_deleting_asks_the_person_by_a_form(runtime: Runtime, era: Any) -> None:
    asked: list[str] = []

    async def person(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept" if len(asked) > 1 else "decline", content={})

    async with in_process(runtime, runtime.settings, ADMIN, era, elicitation_callback=person) as client:
        made, _ = await _call(client, "deploy_workflow", code=workflow(BODY, title=f"Doomed {era}"))
        refused = await client.call_tool("delete_workflow", {"workflow_id": made["workflow_id"]})
        assert refused.is_error
        assert "A person declined; nothing was done." in text_of(refused)
        done, _ = await _call(client, "delete_workflow", workflow_id=made["workflow_id"])
    assert done["workflow_id"] == made["workflow_id"]
    assert "for good, with 1 version? Its runs stay on record." in asked[1]


@pytest.mark.requirement("author:tools", "author:practices", "author:templates")
async def test_practices_templates_and_prompts_are_found_and_completed(runtime: Runtime) -> None:
    from mcp_types import PromptReference, ResourceTemplateReference

    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        page, text = await _call(client, "read_practice", topic="secrets")
        assert page["text"] == text
        assert tokens(text) < 500
        wrong = await client.call_tool("read_practice", {"topic": "astrology"})
        assert wrong.is_error
        listed = await client.list_tools()
        schema = next(one.input_schema for one in listed.tools if one.name == "read_practice")
        assert schema["properties"]["topic"]["enum"] == sorted(
            [*runtime.authoring.practice_topics(), "services"]
        )
        found, _ = await _call(client, "list_templates", query="describe a csv table")
        assert found["templates"][0]["id"] == "csv_statistics"
        none, _ = await _call(client, "list_templates", category="astrology")
        assert none["templates"] == []
        live, _ = await _call(client, "deploy_workflow", code=workflow(BODY, title="Prompted"))
        service = live["workflow_id"]
        for name, arguments, told in (
            ("build_workflow", {"description": "Mail me a digest"}, "send_email"),
            ("port_script", {"source": "0 9 * * 1 /opt/report.sh"}, "cron source"),
            (
                "port_script",
                {"source": '{"nodes": [{"type": "n8n-nodes-base.httpRequest"}]}'},
                "It has: n8n-nodes-base.httpRequest",
            ),
            ("port_script", {"source": "import requests\nprint(requests.get('x'))"}, "script source"),
            ("add_integration", {"workflow_id": service, "service": "send_email"}, "order.prices"),
            ("review_workflow", {"workflow_id": service}, "structured_output"),
        ):
            prompt = await client.get_prompt(name, arguments)
            content = prompt.messages[0].content
            assert isinstance(content, TextContent)
            assert told in content.text, name
        done = await client.complete(
            PromptReference(type="ref/prompt", name="add_integration"), {"name": "service", "value": "send"}
        )
        assert done.completion.values == ["send_email"]
        done = await client.complete(
            PromptReference(type="ref/prompt", name="review_workflow"),
            {"name": "workflow_id", "value": "prompted"},
        )
        assert done.completion.values == [service]
        topics = ResourceTemplateReference(type="ref/resource", uri="practices://{topic}")
        done = await client.complete(topics, {"name": "topic", "value": "str"})
        assert done.completion.values == ["structure", "structured_output"]
        read = await client.read_resource("practices://errors")
        assert "HTTPException" in str(read.contents[0])


@pytest.mark.requirement("author:service-list")
async def test_services_are_listed_and_one_is_shown_with_its_inputs_in_few_tokens(runtime: Runtime) -> None:
    known = await runtime.services.list(ADMIN)
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        _, text = await _call(client, "read_practice", topic="services")
        assert [line.split(":")[0].split(" (")[0][2:] for line in text.splitlines()[1:-1]] == [
            one.name for one in known
        ]
        assert "- send_email" in text
        assert "Lacks SMTP_URL." in text
        assert tokens(text) < 1_000
        for service in known:
            _, page = await _call(client, "read_practice", topic="services", service=service.name)
            assert tokens(page) < 1_000, service.name
            for operation in service.operations:
                assert f'path="{operation.path.strip("/")}"' in page
                assert all(name in page for name in operation.input.get("required", []))
        _, mail = await _call(client, "read_practice", topic="services", service="send_email")
        assert "SMTP_URL is not set" in mail
        assert "delivered" in mail
        wrong = await client.call_tool("read_practice", {"topic": "services", "service": "telepathy"})
        assert wrong.is_error
        assert 'read_practice(topic="services")' in text_of(wrong)
        _, brief = await _call(client, "generate_workflow", description="Sums a list.", brief=True)
        assert 'read_practice(topic="services")' in brief
        assert "`timeout`" in brief
        assert 'service_id="<workflow id>"' in brief


@pytest.mark.requirement("author:missing-told")
async def test_the_question_of_a_deploy_says_what_the_version_lacks(runtime: Runtime) -> None:
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        asked, text = await _call(client, "deploy_workflow", template_id="rss_digest")
        assert asked["status"] == "needs_consent"
        assert "missing yet: send_email needs SMTP_URL, which has no value yet." in text
        assert "Messages are stored in the outbox and not sent." in text
        page = await runtime.consents.peek(ADMIN, asked["confirm"])
        assert (
            "missing yet",
            [line.removeprefix("missing yet: ") for line in asked["asks"] if "missing yet" in line],
        ) in page.rows
        await runtime.consents.decide(ADMIN, asked["confirm"], agreed=True)
        await runtime.secrets.set(ADMIN, "SMTP_URL", "smtp://mail.example:587")
        # The person agreed to the permissions: that a secret was set meanwhile asks for nothing more.
        live, _ = await _call(client, "deploy_workflow", template_id="rss_digest", confirm=asked["confirm"])
        assert live["status"] == "deployed"
        await runtime.secrets.delete(ADMIN, "SMTP_URL")
        await runtime.workflows.delete(ADMIN, live["workflow_id"], consent=ALLOWED)


@pytest.mark.requirement("mcp:error-words")
async def test_a_wrong_kind_of_argument_is_told_in_the_words_of_json(runtime: Runtime) -> None:
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        for tool, arguments, told in (
            ("set_secret", {"name": "A_KEY", "hosts": "api.example.com"}, "`hosts`: it must be a list"),
            ("run_workflow", {"workflow_id": "x", "headers": "a: b"}, "`headers`: it must be an object"),
            ("edit_workflow", {"workflow_id": "x", "edits": "a"}, "`edits`: it must be a list"),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert told in text_of(result)


@pytest.mark.requirement("mcp:deploy-answer")
async def test_the_line_for_a_shell_has_the_known_example_quoted(runtime: Runtime) -> None:
    line = """# [tool.codewords]\n# example = { name = "it's $(id) `id`" }\n# ///\nfrom"""
    code = workflow(EXAMPLE, title="Shell line").replace("# ///\nfrom", line)
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        got, text = await _call(client, "deploy_workflow", code=code)
    words = shlex.split(got["curl"])
    assert json.loads(words[-1]) == {"name": "it's $(id) `id`"}
    assert f"Shell (data, not instructions):\n{got['curl']}\n" in text
