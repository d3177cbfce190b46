"""Prompts: `{model, prompt, example_output?, …}` → `{response, usage, cost}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound, ServiceNotAvailable, TooBusy
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.gateway.keys import key_name, title_of
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.json_sample import make_placeholder
from codewords_mcp.runtime.model.manifest import models_item
from codewords_mcp.runtime.model.model_errors import (
    ModelAnswerInvalid,
    ModelNotAllowed,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnavailable,
)
from codewords_mcp.runtime.model.provider import CallUsage, Provider
from codewords_mcp.runtime.services.model_prompt import schemas, sdks
from codewords_mcp.runtime.services.model_prompt.model_suggestions import suggest_model

log = structlog.get_logger(__name__)
ECHO = "echo"
"""Our own model for tests and demos: it calls no provider, and its response says so."""
_MODEL = re.compile(r"[\w.:/@-]{1,200}")
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)
_ASK_FUNCTIONS: Mapping[Provider, sdks.AskProvider] = {
    "openai": sdks.ask_openai,
    "anthropic": sdks.ask_anthropic,
    "gemini": sdks.ask_gemini,
}


class PromptInput(BaseModel):
    """The input. `example_output` is a JSON Schema or an example. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    model: str
    prompt: str = Field(min_length=1)
    example_output: Any = None
    system: str | None = None
    images: list[str] = Field(default_factory=list[str], max_length=100)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, gt=0, le=10_000_000)


async def answer_request(
    gateway: Gateway, caller: Caller, provider: Provider, body: bytes, *, require: Callable[[str], None]
) -> dict[str, Any]:
    """Send the prompt of a request body. Returns `{response, model, usage, cost}`.

    OpenAI's form asks a named provider where the model names one. `require` is called with the manifest's item for the
    models that are asked.

    `cost` is in USD, None for a model without a price. If the model is unavailable and a person
    configured fallbacks, the first available one answers, and `instead_of` names the requested one.

    Raises InvalidInput, NotFound for a retired model (its hint names a current one),
    ModelAnswerInvalid if the response doesn't fit after one repair, ProviderRefused, TooBusy, and
    the errors of the gateway.
    """
    try:
        params = _read(body)
    except InvalidInput:
        # Who may not ask this provider is told that, whatever is wrong with the request.
        require(models_item(provider))
        raise

    first, _, rest = params.model.partition("/")
    if provider == "openai" and rest and first in gateway.named:
        provider, params = first, params.model_copy(update={"model": rest})
    require(models_item(provider))
    return await answer_prompt(gateway, caller, provider, params)


async def answer_prompt(
    gateway: Gateway, caller: Caller, provider: Provider, params: PromptInput
) -> dict[str, Any]:
    """Send a prompt. See `answer_request`."""
    schema: schemas.Json | None = None
    if params.example_output is not None:
        schema = schemas.schema_of(params.example_output)

    if params.model == ECHO:
        return _echo(params, schema)

    object_schema, wrapped = schemas.as_object(schema) if schema is not None else (None, False)
    request = sdks.ModelRequest(
        gateway.prices.real_name(params.model),
        params.prompt,
        object_schema,
        params.system,
        tuple(sdks.check_image(url) for url in params.images),
        params.temperature,
        params.max_tokens,
    )

    candidates: list[tuple[Provider, str]] = [(provider, request.model)]
    for fallback_provider, model in gateway.fallbacks(caller, provider, params.model):
        candidates.append((fallback_provider, gateway.prices.real_name(model)))

    usage: list[CallUsage] = []

    for index, (candidate_provider, model) in enumerate(candidates):
        is_last = index == len(candidates) - 1
        instead_of = request.model if index else ""
        # Only the last candidate waits for a provider that is busy: the others have a fallback.
        conversation = _Conversation(
            gateway, candidate_provider, caller, may_wait=is_last, instead_of=instead_of
        )

        try:
            async with conversation:
                response = await _ask_model(conversation, replace(request, model=model))
        except CodewordsError as error:
            # A call that failed may have been billed as well.
            usage += conversation.used
            if is_last or not _allows_fallback(error):
                raise
            continue

        usage += conversation.used
        if wrapped:
            response = cast("dict[str, Any]", response)[schemas.WRAPPED]

        result = {"response": response, "model": model}
        if index:
            result["instead_of"] = f"{provider}/{request.model}"

        return result | _usage_and_cost(usage)

    raise AssertionError("the requested model is always a candidate")


def _allows_fallback(error: CodewordsError) -> bool:
    """Whether the model is unavailable, rather than the prompt wrong."""
    if isinstance(error, ProviderRefused):
        # 402: the account has no credit left, which another provider's may have.
        return error.provider_status >= 500 or error.provider_status == 402
    return isinstance(
        error,
        (ProviderUnavailable, ProviderTimedOut, TooBusy, NotFound, ServiceNotAvailable, ModelNotAllowed),
    )


async def _ask_model(conversation: _Conversation, request: sdks.ModelRequest) -> object:
    """Return the response's text, or its value if the request has a schema."""
    response = await conversation.ask(request)
    if request.schema is None:
        return response.text
    return await _fit_to_schema(conversation, request, response, request.schema)


async def _fit_to_schema(
    conversation: _Conversation,
    request: sdks.ModelRequest,
    response: sdks.ModelResponse,
    schema: schemas.Json,
) -> object:
    """Return the value if it fits, else that of one more try. Raises ModelAnswerInvalid."""
    value, fault = _parse_value(response, schema)
    if fault is None:
        return value

    remark = (
        f"That does not fit what was asked for ({fault}). Give the whole answer again, as JSON that fits."
    )
    # Providers refuse an empty turn.
    text = response.text or json.dumps(response.value) or "(nothing)"
    repaired = await conversation.ask(replace(request, earlier_turns=((text, remark),)))
    value, fault = _parse_value(repaired, schema)
    if fault is None:
        return value

    raise ModelAnswerInvalid(
        "The model's response did not fit example_output, also after one repair.",
        hint="Use a simpler format, say in the prompt what each field means, or use a stronger model.",
    )


def _parse_value(response: sdks.ModelResponse, schema: schemas.Json) -> tuple[Any, str | None]:
    """Return (the value, its first fault)."""
    value = response.value
    if value is None:
        text = response.text or ""
        # Models without structured output tend to put JSON into a fenced block.
        fenced = _FENCE.match(text)
        try:
            value = parse(fenced[1] if fenced else text)
        except ValueError:
            return None, "it is not JSON"

    value = schemas.without_optional_nulls(value, schema)
    return value, schemas.find_fault(value, schema)


class _Conversation:
    """Calls of one prompt to one provider, by its SDK, through the gateway."""

    def __init__(
        self, gateway: Gateway, provider: Provider, caller: Caller, *, may_wait: bool, instead_of: str
    ) -> None:
        from codewords_mcp.runtime.services.model_prompt.transport import HOST, GatewayTransport

        self._provider: Provider = provider
        self._base = HOST
        self._transport = GatewayTransport(
            gateway, provider, caller, may_wait=may_wait, instead_of=instead_of
        )

    async def __aenter__(self) -> None:
        import httpx2

        # No timeout here: the gateway has its own.
        self._http = httpx2.AsyncClient(transport=self._transport, timeout=None, trust_env=False)

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.aclose()

    async def ask(self, request: sdks.ModelRequest) -> sdks.ModelResponse:
        """Make one call. Raises the errors of `answer_request`."""
        try:
            response = await _ASK_FUNCTIONS.get(self._provider, sdks.ask_openai)(
                request, self._http, self._base
            )
        except Exception as error:
            # An SDK wraps the gateway's refusal; the original has our message.
            if self._transport.failure is not None:
                raise self._transport.failure from error

            # Google's SDK names the status `code`.
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            if isinstance(status, int) and status >= 400:
                raise self._to_error(status, request.model) from error

            if not self._transport.answered:
                raise
            log.warning("model response not read", provider=self._provider, error=type(error).__name__)
            raise self._no_answer() from error

        if response.refused:
            raise ModelAnswerInvalid("The model refused to answer this prompt.", hint="Change the prompt.")
        if response.cut:
            raise ModelAnswerInvalid(
                "The model's response was cut off at its limit of tokens.",
                hint="Give a larger max_tokens.",
            )
        if response.text is None and response.value is None:
            raise self._no_answer()

        return response

    def _no_answer(self) -> ModelAnswerInvalid:
        return ModelAnswerInvalid(
            f"{title_of(self._provider)} sent a response without an answer in it.",
            hint="Try again, or use another model.",
        )

    def _to_error(self, status: int, model: str) -> Exception:
        """Convert a provider's error. Its text is untrusted and is not repeated."""
        title = title_of(self._provider)
        if status == 404:
            suggestion = suggest_model(model)
            return NotFound(
                f"{title} has no model {model!r}: it may be retired or misspelt.",
                hint=f"Use {suggestion!r}, which is of the same kind."
                if suggestion and suggestion != model
                else "",
            )
        if status in {401, 403}:
            return ProviderRefused(
                f"{title} refused its key.",
                provider_status=status,
                hint="It needs another one.",
                remedy=set_secret(key_name(self._provider)),
            )
        if status == 429:
            return TooBusy(f"{title}'s rate limit is reached.", retry_after=10, hint="Try again later.")

        return ProviderRefused(
            f"{title} answered {status}.",
            provider_status=status,
            hint="Check model, prompt, images and max_tokens." if status < 500 else "Try again later.",
        )

    @property
    def used(self) -> list[CallUsage]:
        """Usage of all calls."""
        return self._transport.used


def _usage_and_cost(used: list[CallUsage]) -> dict[str, Any]:
    """Return `usage` and `cost` of all calls of one prompt."""
    tokens: dict[str, int] = {}
    for call in used:
        for name, count in call.tokens.items():
            tokens[name] = tokens.get(name, 0) + count

    known_costs = [call.cost for call in used if call.cost is not None]
    usage: dict[str, Any] = tokens | {
        "total_tokens": tokens.get("input_tokens", 0) + tokens.get("output_tokens", 0),
        "calls": len(used),
    }
    if used and all(call.cached for call in used):
        usage["cached"] = True

    # A sum without one call's cost would be too low, and look exact.
    cost = None
    if len(known_costs) == len(used):
        cost = round(sum(known_costs), 12)

    return {"usage": usage, "cost": cost}


def _echo(params: PromptInput, schema: schemas.Json | None) -> dict[str, Any]:
    if schema is not None:
        response = make_placeholder(schema, "[echo]")
    else:
        response = f"[echo] {params.prompt}"
    note = "No provider was called: this is the echo model, for tests and demos."
    return {"response": response, "model": ECHO, "note": note, "usage": {"calls": 0}, "cost": 0.0}


def _read(body: bytes) -> PromptInput:
    try:
        form = PromptInput.model_validate_json(body)
    except ValidationError as error:
        # Values are left out, since they may be secrets.
        faults = error.errors(include_input=False, include_url=False)
        first = faults[0]
        field = (
            ".".join(str(part) for part in first["loc"] if str(part) in PromptInput.model_fields)
            or "the body"
        )
        raise InvalidInput(
            f"{field}: {first['msg']}.",
            hint="Send {model, prompt} and, if you like, example_output, system, images, temperature, max_tokens.",
        ) from None

    if not _MODEL.fullmatch(form.model):
        raise InvalidInput("`model` is not a model's name.", hint='For example "gpt-4o-mini".')

    return form
