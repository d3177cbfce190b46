"""The simple form: `{model, prompt, example_output?, …}` → `{response, usage, cost}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import (
    CodewordsError,
    InvalidInput,
    ModelAnswerInvalid,
    ModelNotAllowed,
    NotFound,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnavailable,
    ServiceNotAvailable,
    TooBusy,
)
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.gateway.keys import NAMES, TITLES
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import CallUsage, Provider
from codewords_mcp.runtime.services.model_prompt import schemas, sdks
from codewords_mcp.runtime.services.model_prompt.model_suggestions import neighbour

ECHO = "echo"
"""A model of our own for tests and demos, asked by name only: it asks nobody and says so."""
_MODEL = re.compile(r"[\w.:/@-]{1,200}")
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)
_ASKERS: Mapping[Provider, sdks.Asker] = {
    "openai": sdks.ask_openai,
    "anthropic": sdks.ask_anthropic,
    "gemini": sdks.ask_gemini,
}


class Form(BaseModel):
    """The body. `example_output` is a JSON Schema or an example of the answer; what else comes is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    model: str
    prompt: str = Field(min_length=1)
    example_output: Any = None
    system: str | None = None
    images: list[str] = Field(default_factory=list[str], max_length=100)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, gt=0, le=10_000_000)


async def ask(gateway: Gateway, caller: Caller, provider: Provider, body: bytes) -> dict[str, Any]:
    """The answer as `{response, model, usage, cost}`; `cost` in USD, None for a model without a price.

    Where the model cannot be had and a person named others for it, of whichever provider, the first that can be answers, and
    `instead_of` says for which.

    Raises InvalidInput, NotFound for a model that is gone (naming one that is not), ModelAnswerInvalid for an answer that
    does not fit after one repair, ProviderRefused, TooBusy where the provider says so, and what the gateway raises.
    """
    return await answer(gateway, caller, provider, _read(body))


async def answer(gateway: Gateway, caller: Caller, provider: Provider, form: Form) -> dict[str, Any]:
    """See `ask`."""
    if form.example_output is not None:
        schema = schemas.schema_of(form.example_output)
    else:
        schema = None

    if form.model == ECHO:
        return _echo(form, schema)

    shape, wrapped = schemas.as_object(schema) if schema is not None else (None, False)
    question = sdks.ModelRequest(
        gateway.prices.real_name(form.model),
        form.prompt,
        shape,
        form.system,
        tuple(sdks.check_image(url) for url in form.images),
        form.temperature,
        form.max_tokens,
    )
    others: list[tuple[Provider, str]] = [
        (where, gateway.prices.real_name(model))
        for where, model in gateway.fallbacks(caller, provider, form.model)
    ]
    used: list[CallUsage] = []
    first: list[tuple[Provider, str]] = [(provider, question.model)]

    for place, (where, model) in enumerate(first + others):
        last = place == len(others)
        instead_of = question.model if place else ""
        conversation = _Conversation(gateway, where, caller, may_wait=last, instead_of=instead_of)

        try:
            async with conversation:
                response = await _told(conversation, replace(question, model=model))
        except CodewordsError as error:
            used += conversation.used
            if last or not _may_stand_in(error):
                raise
            continue

        used += conversation.used
        if wrapped:
            response = cast("dict[str, Any]", response)[schemas.WRAPPED]
        if place:
            told = {"instead_of": f"{provider}/{question.model}"}
        else:
            told = {}

        return {"response": response, "model": model} | told | _bill(used)

    raise AssertionError("there is one model at the least")


def _may_stand_in(error: CodewordsError) -> bool:
    """Whether this says that a model cannot be had, rather than that the question is wrong."""
    if isinstance(error, ProviderRefused):
        return error.provider_status >= 500 or error.provider_status == 402
    return isinstance(
        error,
        (ProviderUnavailable, ProviderTimedOut, TooBusy, NotFound, ServiceNotAvailable, ModelNotAllowed),
    )


async def _told(conversation: _Conversation, question: sdks.ModelRequest) -> Any:
    """The answer's text, or its value where a shape is asked for."""
    told = await conversation.ask(question)
    if question.schema is None:
        return told.text
    return await _fitting(conversation, question, told, question.schema)


async def _fitting(
    conversation: _Conversation, question: sdks.ModelRequest, told: sdks.ModelReply, shape: schemas.Json
) -> Any:
    """The value, if it fits; else that of one more try, told what was wrong. Raises ModelAnswerInvalid."""
    value, wrong = _value(told, shape)
    if wrong is None:
        return value

    remark = (
        f"That does not fit what was asked for ({wrong}). Give the whole answer again, as JSON that fits."
    )
    answer = told.text or json.dumps(told.value)
    again = await conversation.ask(replace(question, said=((answer or "(nothing)", remark),)))
    value, wrong = _value(again, shape)
    if wrong is None:
        return value

    raise ModelAnswerInvalid(
        "The model's answer did not fit example_output, also when it was told so.",
        hint="Ask for a simpler shape, say in the prompt what each field means, or use a stronger model.",
    )


def _value(told: sdks.ModelReply, shape: schemas.Json) -> tuple[Any, str | None]:
    """(the value, what is wrong with it)."""
    value = told.value
    if value is None:
        fenced = _FENCE.match(told.text)
        try:
            value = parse(fenced[1] if fenced else told.text)
        except ValueError:
            return None, "it is not JSON"
    value = schemas.without_unasked_nulls(value, shape)
    return value, schemas.complaint(value, shape)


class _Conversation:
    """Calls of one question, by the provider's SDK, through the gateway."""

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

        self._http = httpx2.AsyncClient(
            transport=self._transport, timeout=None, trust_env=False
        )  # the gateway's

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.aclose()

    async def ask(self, question: sdks.ModelRequest) -> sdks.ModelReply:
        """One call. Raises what `ask` above names."""
        try:
            told = await _ASKERS[self._provider](question, self._http, self._base)
        except Exception as error:
            if self._transport.failure is not None:
                raise self._transport.failure from error

            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            if not isinstance(status, int):
                raise

            raise self._refused(status, question.model) from error

        if told.refused:
            raise ModelAnswerInvalid("The model refused to answer this prompt.", hint="Word it differently.")
        if told.cut:
            raise ModelAnswerInvalid(
                "The model's answer reached its limit of tokens before its end.",
                hint="Give a larger max_tokens.",
            )

        return told

    def _refused(self, status: int, model: str) -> Exception:
        """A provider's error in our words: its text is not ours to repeat."""
        title = TITLES[self._provider]
        if status == 404:
            near = neighbour(model)
            return NotFound(
                f"{title} has no model {model!r}: it may be retired, or misspelt.",
                hint=f"Use {near!r}, which is of the same kind." if near and near != model else "",
            )
        if status in {401, 403}:
            return ProviderRefused(
                f"{title} does not take the key that the runtime has for it.",
                provider_status=status,
                hint=f"`codewords secrets set {NAMES[self._provider]}` sets another.",
            )
        if status == 429:
            return TooBusy(f"{title} takes no more calls for now.", retry_after=10, hint="Try again later.")

        return ProviderRefused(
            f"{title} answered {status}.",
            provider_status=status,
            hint="Check model, prompt, images and max_tokens." if status < 500 else "Try again later.",
        )

    @property
    def used(self) -> list[CallUsage]:
        """Of every call that it took."""
        return self._transport.used


def _bill(used: list[CallUsage]) -> dict[str, Any]:
    """`usage` and `cost` of every call that the question took."""
    tokens: dict[str, int] = {}
    for one in used:
        for name, count in one.tokens.items():
            tokens[name] = tokens.get(name, 0) + count

    known = [one.cost for one in used if one.cost is not None]
    usage: dict[str, Any] = tokens | {
        "total_tokens": tokens.get("input_tokens", 0) + tokens.get("output_tokens", 0),
        "calls": len(used),
    }
    if used and all(one.cached for one in used):
        usage["cached"] = True
    return {"usage": usage, "cost": round(sum(known), 12) if len(known) == len(used) else None}


def _echo(form: Form, schema: schemas.Json | None) -> dict[str, Any]:
    if schema is not None:
        response = schemas.sample(schema)
    else:
        response = f"[echo] {form.prompt}"
    note = "No model was asked: this is the echo model, for tests and demos."
    return {"response": response, "model": ECHO, "note": note, "usage": {"calls": 0}, "cost": 0.0}


def _read(body: bytes) -> Form:
    try:
        form = Form.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        first = faults[0]
        place = ".".join(str(part) for part in first["loc"] if str(part) in Form.model_fields) or "the body"
        raise InvalidInput(
            f"{place}: {first['msg']}.",
            hint="Send {model, prompt} and, if you like, example_output, system, images, temperature, max_tokens.",
        ) from None

    if not _MODEL.fullmatch(form.model):
        raise InvalidInput("That is not a model's name.", hint='For example "gpt-4o-mini".')

    return form
