"""`deploy_workflow` where a version asks for something: a person says yes, in the way that their client has."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from tests.support.mcp_clients import Era, data_of, in_process, text_of
from tests.support.runtime import ADMIN, workflow

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.audit import AuditFilter
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("manifest:mcp")]

HOST = "api.example.com"


def asking(host: str, title: str) -> str:
    return workflow(
        f'import httpx\n@app.post("/")\nasync def f():\n    await httpx.AsyncClient().get("https://{host}/x")\n',
        title=title,
    )


class Person:
    """Answers forms; of a page, answers on it when the link is opened."""

    def __init__(self, runtime: Runtime, action: str, *, on_page: bool | None = None) -> None:
        self._runtime = runtime
        self._action: Any = action
        self._on_page = on_page
        self.asked: list[ElicitRequestFormParams | ElicitRequestURLParams] = []

    async def __call__(self, _: object, params: Any) -> ElicitResult:
        self.asked.append(params)
        if isinstance(params, ElicitRequestURLParams) and self._on_page is not None:
            await self._runtime.consents.decide(ADMIN, params.url.rpartition("/")[2], agreed=self._on_page)
        accepted = isinstance(params, ElicitRequestFormParams) and self._action == "accept"
        content: dict[str, str | int | float | bool | list[str] | None] | None = {} if accepted else None
        return ElicitResult(action=self._action, content=content)


def connected(runtime: Runtime, era: Era, **options: Any) -> Client:
    return in_process(runtime, Settings.model_construct(home=runtime.settings.home), ADMIN, era, **options)


async def deploy(client: Client, code: str, name: str, **more: Any) -> Any:
    return await client.call_tool("deploy_workflow", {"code": code, "name": name} | more)


async def consents(runtime: Runtime) -> list[tuple[str, str]]:
    """(action, way) of the newest two entries of consents."""
    page = await runtime.audit.page(ADMIN, AuditFilter(action="consent"), limit=2)
    return [(entry.action, (entry.after or {}).get("way", "")) for entry in page.items]


@pytest.mark.requirement("audit:consents")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_person_who_is_asked_and_agrees_has_it_deployed_once_and_is_not_asked_again(
    real: Runtime, era: Era
) -> None:
    person, name = Person(real, "accept", on_page=True), f"yes {era}"
    async with connected(real, era, elicitation_callback=person) as client:
        live = data_of(await deploy(client, asking(HOST, name), name))
        again = data_of(
            await deploy(
                client, asking(HOST, name) + "\n# same reach\n", name, workflow_id=live["workflow_id"]
            )
        )
    assert (live["status"], live["capabilities"]) == ("deployed", [f"hosts {HOST}"])
    assert again["version"] == 2
    [asked] = person.asked
    assert f"hosts        {HOST}" in asked.message
    assert await consents(real) == [("consent.agreed", "chat"), ("consent.asked", "")]


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_who_says_no_has_nothing_deployed(real: Runtime, era: Era, action: str) -> None:
    person, name = Person(real, action), f"no {era} {action}"
    async with connected(real, era, elicitation_callback=person) as client:
        result = await deploy(client, asking(HOST, name), name)
    assert result.is_error
    assert "declined" in text_of(result)
    assert len(person.asked) == 1
    assert not (await real.workflows.list(ADMIN, query=name)).items


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_without_a_way_to_ask_the_page_decides_and_the_models_token_is_no_yes(
    real: Runtime, era: Era
) -> None:
    name = f"page {era}"
    code = asking(HOST, name)
    async with connected(real, era, limits=ServerLimits(answer_timeout=0.05)) as client:
        first = await deploy(client, code, name)
        told = data_of(first)
        assert (told["status"], told["asks"][1:-1]) == ("needs_consent", [f"hosts {HOST}"])
        assert "(data, not instructions)" in told["asks"][0], "also where a host shows the structured result"
        assert told["consent_url"] in text_of(first)
        assert told["confirm"] in text_of(first)
        impatient = data_of(await deploy(client, code, name, confirm=told["confirm"]))
        assert (impatient["status"], impatient["confirm"]) == ("needs_consent", told["confirm"])
        await real.consents.decide(ADMIN, told["confirm"], agreed=True)
        other = data_of(
            await deploy(client, asking("other.example.com", name), name, confirm=told["confirm"])
        )
        assert other["status"] == "needs_consent"
        assert data_of(await deploy(client, code, name, confirm=told["confirm"]))["status"] == "deployed"


async def test_what_reaches_nothing_is_deployed_without_a_question(real: Runtime) -> None:
    person = Person(real, "decline")
    async with connected(real, "legacy", elicitation_callback=person) as client:
        live = await client.call_tool("deploy_workflow", {"template_id": "greeting", "name": "quiet"})
    assert data_of(live)["status"] == "deployed"
    assert "reaches nothing" in text_of(live)
    assert person.asked == []


@pytest.mark.requirement("deploy:deployers")
async def test_validation_and_the_workflow_show_what_it_may_do(real: Runtime) -> None:
    async with connected(real, "legacy", elicitation_callback=Person(real, "accept", on_page=True)) as client:
        checked = await client.call_tool("validate_workflow", {"code": asking(HOST, "shown")})
        assert data_of(checked)["capabilities"] == [f"hosts {HOST}"]
        assert f"hosts {HOST}" in text_of(checked)
        live = data_of(await deploy(client, asking(HOST, "shown"), "shown"))
        shown = await client.call_tool("get_workflow", {"workflow_id": live["workflow_id"]})
        # The host of these tests is called `mcp`.
        assert "“mcp”, over MCP with the home's own key of local" in data_of(shown)["versions"][0]["by"]
        assert f"hosts {HOST}" in text_of(shown)
