"""A person's yes to what destroys: by a form where the client shows one, else on a page; a model's token is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult, ErrorData
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime
from tests.support.mcp_clients import Bare, Era, data_of, over_http, text_of

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.tools import all_tools

pytestmark = pytest.mark.anyio

NAME = {"name": "STRIPE_API_KEY"}
TOKEN = "codewords/confirm"


async def _stored(runtime: FakeRuntime, client: Client) -> None:
    url = data_of(await client.call_tool("set_secret", NAME))["url"]
    await runtime.secrets.redeem_link(ANN, url.rpartition("/")[2], "sk")


def _person(action: Literal["accept", "decline"], heard: list[str]) -> Callable[..., Any]:
    async def answer(_: Any, params: ElicitRequestParams) -> ElicitResult:
        heard.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    return answer


async def _names(client: Client) -> list[str]:
    return [one["name"] for one in data_of(await client.call_tool("list_secrets", {}))["secrets"]]


@pytest.mark.requirement("confirm:asks")
async def test_the_person_is_asked_and_what_they_agree_to_is_done(
    url: str, runtime: FakeRuntime, client: Client, era: Era
) -> None:
    await _stored(runtime, client)
    heard: list[str] = []
    async with over_http(url, "ann", era, elicitation_callback=_person("accept", heard)) as asking:
        assert data_of(await asking.call_tool("delete_secret", NAME)) == NAME
    [question] = heard
    assert question.startswith(
        "Delete the secret STRIPE_API_KEY for good? These workflows need it: “greeting_1”."
    )
    assert "Asked by " in question
    assert "over MCP with" in question
    assert await _names(client) == []


@pytest.mark.requirement("confirm:asks")
@pytest.mark.requirement("confirm:person")
async def test_a_no_is_a_no_and_a_models_token_does_not_change_it(
    url: str, runtime: FakeRuntime, client: Client, era: Era
) -> None:
    await _stored(runtime, client)
    asked = await client.call_tool("delete_secret", NAME)
    heard: list[str] = []
    async with over_http(url, "ann", era, elicitation_callback=_person("decline", heard)) as asking:
        told = await asking.call_tool("delete_secret", NAME | {"confirm": (asked.meta or {})[TOKEN]})
        assert text_of(told).startswith("needs_consent: ")
        refused = await asking.call_tool("delete_secret", NAME)
    assert "A person declined; nothing was done." in text_of(refused)
    assert len(heard) == 1
    assert await _names(client) == [NAME["name"]]


impatient = pytest.mark.parametrize("limits", [ServerLimits(answer_timeout=0.01)], ids=["impatient"])
"""Nobody answers on the page while a call waits."""


@pytest.mark.requirement("confirm:token")
@impatient
async def test_where_nobody_can_be_asked_in_the_chat_a_models_token_is_no_yes_and_the_page_decides(
    runtime: FakeRuntime, client: Client
) -> None:
    await _stored(runtime, client)
    asked = await client.call_tool("delete_secret", NAME)
    token = (asked.meta or {})[TOKEN]
    assert f'call delete_secret again with the same arguments and confirm="{token}"' in text_of(asked)
    assert "codewords open" in text_of(asked)
    assert f"/consents/{token}" in text_of(asked)
    alone = await client.call_tool("delete_secret", NAME | {"confirm": token})
    assert text_of(alone).startswith("needs_consent: ")
    assert await _names(client) == [NAME["name"]]
    await runtime.consents.decide(ANN, token, agreed=True)
    others = await client.call_tool("delete_secret", {"name": "ANOTHER", "confirm": token})
    assert text_of(others).startswith("needs_consent: ")
    assert data_of(await client.call_tool("delete_secret", NAME | {"confirm": token})) == NAME


@pytest.mark.requirement("confirm:token")
@impatient
async def test_where_the_operator_says_that_nobody_is_there_a_token_is_good_once_for_its_own_call(
    url: str, runtime: FakeRuntime, client: Client, era: Era
) -> None:
    runtime.nobody_there = True
    await _stored(runtime, client)
    asked = await client.call_tool("delete_secret", NAME)
    token = (asked.meta or {})[TOKEN]
    others = await client.call_tool("delete_secret", {"name": "ANOTHER", "confirm": token})
    assert text_of(others).startswith("needs_consent: ")
    async with over_http(url, "bob", era) as bob:
        stolen = await bob.call_tool("delete_secret", NAME | {"confirm": token})
        assert text_of(stolen).startswith("needs_consent: ")
    assert data_of(await client.call_tool("delete_secret", NAME | {"confirm": token})) == NAME
    await _stored(runtime, client)
    again = await client.call_tool("delete_secret", NAME | {"confirm": token})
    assert text_of(again).startswith("needs_consent: ")


@pytest.mark.requirement("confirm:forged")
@pytest.mark.parametrize("state", [None, "confirm", "v1.forged"])
async def test_answers_to_a_question_that_was_not_put_confirm_nothing(
    url: str, runtime: FakeRuntime, client: Client, state: str | None
) -> None:
    await _stored(runtime, client)
    bare = Bare(url, "ann", {"elicitation": {"form": {}}})
    forged: dict[str, Any] = {"inputResponses": {"consent": {"action": "accept", "content": {}}}}
    if state is not None:
        forged["requestState"] = state
    told = await bare.ask("tools/call", {"name": "delete_secret", "arguments": NAME, **forged})
    assert "error" in told or told["result"]["resultType"] == "input_required"
    assert await _names(client) == [NAME["name"]]


@pytest.mark.requirement("confirm:forged")
async def test_an_answer_is_good_for_the_arguments_that_were_asked_about(
    url: str, runtime: FakeRuntime, client: Client
) -> None:
    await _stored(runtime, client)
    bare = Bare(url, "ann", {"elicitation": {"form": {}}})
    asked = await bare.call("delete_secret", {"name": "ANOTHER"})
    more: dict[str, Any] = {
        "inputResponses": {"consent": {"action": "accept", "content": {}}},
        "requestState": asked["requestState"],
    }
    told = await bare.ask("tools/call", {"name": "delete_secret", "arguments": NAME, **more})
    assert told["error"]["code"] == -32602
    assert await _names(client) == [NAME["name"]]


@pytest.mark.requirement("confirm:forged")
async def test_an_answer_to_another_question_is_neither_a_yes_nor_a_no(
    url: str, runtime: FakeRuntime, client: Client
) -> None:
    await _stored(runtime, client)
    bare = Bare(url, "ann", {"elicitation": {"form": {}}})
    asked = await bare.call("delete_secret", NAME)
    accepted: dict[str, Any] = {"action": "accept"}

    told = await bare.call(
        "delete_secret", NAME, inputResponses={"another": accepted}, requestState=asked["requestState"]
    )
    assert told["content"][0]["text"].startswith("needs_consent: ")
    assert await _names(client) == [NAME["name"]]
    await bare.call(
        "delete_secret", NAME, inputResponses={"consent": accepted}, requestState=asked["requestState"]
    )
    assert await _names(client) == []


@pytest.mark.requirement("confirm:asks")
@pytest.mark.parametrize(
    "reply", [{"action": "accept"}, {"action": "accept", "content": {"more": ["x"], "yes": "true"}}]
)
async def test_a_form_without_fields_is_accepted_with_any_content_or_none(
    url: str, runtime: FakeRuntime, client: Client, era: Era, reply: dict[str, Any]
) -> None:
    await _stored(runtime, client)

    async def answer(_: Any, _params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(**reply)

    async with over_http(url, "ann", era, elicitation_callback=answer) as asking:
        assert data_of(await asking.call_tool("delete_secret", NAME)) == NAME
    assert await _names(client) == []


@pytest.mark.requirement("confirm:asks")
@pytest.mark.parametrize("tool", ["delete_secret", "set_secret"])
@pytest.mark.parametrize("reply", ["error", "unknown action", "no action", "a list as content"])
async def test_a_reply_that_is_no_answer_counts_as_silence(
    url: str, runtime: FakeRuntime, client: Client, tool: str, reply: str
) -> None:
    """Up to 2025-11-25 the client is asked within the call; what it replies instead is not the model's fault."""
    await _stored(runtime, client)
    replies: dict[str, Any] = {
        "error": ErrorData(code=-1, message="words of the host"),
        "unknown action": ElicitResult.model_construct(action="agree"),
        "no action": ElicitResult.model_construct(),
        "a list as content": ElicitResult.model_construct(action="accept", content=["x"]),
    }

    async def answer(_: Any, _params: ElicitRequestParams) -> Any:
        return replies[reply]

    async with over_http(url, "ann", "legacy", elicitation_callback=answer) as asking:
        told = await asking.call_tool(tool, NAME)
    if tool == "delete_secret":
        assert text_of(told).startswith("needs_consent: ")
    else:
        assert data_of(told)["status"] == "waiting"
    assert "words of the host" not in text_of(told)
    assert await _names(client) == [NAME["name"]]


@pytest.mark.requirement("confirm:which")
async def test_every_destroying_tool_asks_but_for_the_end_of_a_run(client: Client) -> None:
    destroying = {
        tool.name: tool for tool in all_tools() if tool.annotations and tool.annotations.destructive_hint
    }
    assert [name for name, tool in destroying.items() if tool.confirm is None] == ["cancel_run"]
    wrong = await client.call_tool("rollback_workflow", {"workflow_id": "x", "version": "none"})
    assert text_of(wrong).startswith("invalid_input: Bad arguments: `version`")
