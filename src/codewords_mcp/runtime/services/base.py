"""What a library service is: operations with pydantic models in and out, under a name that is called like a workflow's.

A service is one module with a `Service`. From it come validation, the description in /openapi.json, the `services`
resource, the reference page and the contract tests; `registry.py` names it in one line, and other packages name theirs
by an entry point of the group `codewords_mcp.services`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from codewords_mcp.errors import InvalidInput, MissingCredential, NotFound, UpstreamFailed
from codewords_mcp.runtime.auth.authority import Authority, CallTarget
from codewords_mcp.runtime.browser.base import BrowserGone, BrowserUser, Tab
from codewords_mcp.runtime.browser.sessions import Browsers
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.integrations.service import Integrations
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, MadeBy
from codewords_mcp.runtime.model.service_operations import operation_name
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.services._logins import LoginService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore
from codewords_mcp.runtime.triggers.schedules import ScheduleService
from codewords_mcp.runtime.triggers.webhooks import WebhookService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

M = TypeVar("M", bound=BaseModel)
Effect = Literal["reads", "writes"]
log = structlog.get_logger(__name__)


class Input(BaseModel):
    """Base of what a service takes: nothing unknown, and never shown in an error, since it may hold a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Output(BaseModel):
    """Base of what a service answers. Only fields that were set are sent."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class ServiceCredential:
    """A secret that a service uses: `how` says where one is had, `without` what the service does when there is none.

    An empty `without` means that the service needs it. `essential`: with another `without` it starts, and yet does not do what
    it is for. Of `home` ones only the home's own counts, since they name a
    machine to connect to, which may be private.
    """

    name: str
    how: str
    without: str = ""
    home: bool = False
    essential: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a service does. `path` follows the service's id, "" for none; "v2/*" stands for all below v2.

    `call(context, asked)` gets the input and gives the output; it raises CodewordsError, in our own words.
    `effect` is "writes" if a call may send, change, make or act on something, here or elsewhere; a person is asked
    before a model calls it. `reads_when(input)` is true for the inputs with which an operation that writes only reads. `private`
    answers are not kept in the run's record. `example` is an input that a reader can try. `targets(input)` are the
    workflows and hosts that a call with this input acts on: a run may name only those that its authority allows.
    """

    summary: str
    input: type[BaseModel]
    output: type[BaseModel]
    call: Callable[[ServiceContext, Any], Awaitable[BaseModel]]
    effect: Effect
    reads_when: Callable[[Any], bool] | None = None
    path: str = ""
    aliases: tuple[str, ...] = ()
    private: bool = False
    example: dict[str, Any] | None = None
    targets: Callable[[Any], Iterable[CallTarget]] | None = None

    def effect_of(self, data: BaseModel) -> Effect:
        """The effect of a call with this input."""
        if self.effect == "writes" and self.reads_when is not None and self.reads_when(data):
            return "reads"
        return self.effect

    @property
    def name(self) -> str:
        """How a manifest names this operation of its service."""
        return operation_name(self.paths)

    @property
    def paths(self) -> tuple[str, ...]:
        """The path and what else it is called by."""
        return (self.path, *self.aliases)


@dataclass(frozen=True, slots=True)
class Service:
    """One library service. Its calls are runs like any other: recorded, attributed, bounded in time."""

    name: str
    title: str
    summary: str
    operations: tuple[Operation, ...]
    credentials: tuple[ServiceCredential, ...] = ()
    unavailable: Callable[[ServiceDependencies, str], Awaitable[str]] | None = None
    """Tells why every call of an owner's is refused now, "" where none is."""

    def find(self, path: str) -> Operation:
        """The operation at a path, with or without slashes around it. Raises NotFound, naming those there are."""
        bare = path.strip("/")
        for operation in self.operations:
            if bare in operation.paths:
                return operation
        for operation in self.operations:
            if any(known.endswith("*") and bare.startswith(known[:-1]) for known in operation.paths):
                return operation
        known = ", ".join(f"/{operation.path}" for operation in self.operations)
        raise NotFound(f"The service {self.name} has nothing at this path.", hint=f"It has {known}.")


@dataclass(frozen=True, slots=True)
class ServiceDependencies:
    """The rooms of the home that services work with."""

    settings: Settings
    database: Database
    secrets: SecretService
    web: Web
    gateway: Gateway
    schedules: ScheduleService
    webhooks: WebhookService
    logins: LoginService
    socket_state: Callable[[str], str]
    """An owner's socket to Slack, in words."""
    files: FileStore
    address: Callable[[], str]
    """Where the runtime is reached from outside, without a slash at the end."""
    derive: Callable[[str], bytes]
    """A key of the home's own for a purpose, always the same."""
    integrations: Integrations
    browsers: Browsers


@dataclass(slots=True)
class Spent:
    """What one call took of this machine, for its run's record: columns of the row, and `usage` by what it was."""

    columns: dict[str, Any] = field(default_factory=dict[str, Any])
    usage: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """One call: who asks, what they may do, and what a service may use to answer.

    `hosts` are the only ones that this service may reach for the caller, None for any.
    """

    parts: ServiceDependencies
    caller: Caller
    run_id: str
    path: str
    method: str
    data: dict[str, Any]
    """The input as it came."""
    service: str
    authority: Authority
    made_by: MadeBy | None = None
    """What a schedule or webhook carries that this call makes; None where a person makes it."""
    spent: Spent = field(default_factory=Spent)

    @property
    def web(self) -> Web:
        """The guarded client."""
        return self.parts.web

    @property
    def settings(self) -> Settings:
        """The runtime's settings."""
        return self.parts.settings

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """See `Authority.hosts_of`."""
        return self.authority.hosts_of(self.service)

    @property
    def policy(self) -> EgressPolicy:
        """What this service may reach for the caller."""
        hosts = self.hosts
        if hosts is None:
            return self.web.policy
        return self.web.policy.narrowed(hosts)

    @asynccontextmanager
    async def browser(self, *, own: bool = False) -> AsyncGenerator[Tab]:
        """A tab in the browser of the caller's run; what it took is counted on this call. `own`: in the person's own Chrome,
        where one is paired and that was agreed to (`OWN_CHROME` of the manifest).

        Raises NotConnected, TooBusy, SandboxFailed, EnvironmentFailed; UpstreamFailed where the browser ended.
        """
        visitor = BrowserUser(self.caller, self.caller.run_id or self.run_id, self.hosts, own)
        visit = None

        try:
            async with self.parts.browsers.visit(visitor) as visit:
                yield visit.tab
        except BrowserGone as gone:
            raise UpstreamFailed(gone.message, hint="Try again, with less on one page.") from gone
        finally:
            if visit is not None:
                used = visit.used
                self.spent.usage["browser"] = {"kind": visit.kind, "seconds": round(used.seconds, 3)}
                self.spent.columns |= {
                    "cpu_seconds": used.cpu_seconds,
                    "peak_memory": used.peak_memory,
                    "egress_in": used.egress_in,
                    "egress_out": used.egress_out,
                }

    @property
    def workflow(self) -> str | None:
        """The id of the workflow that calls; None for a person."""
        return self.authority.workflow

    async def secret(self, credential: ServiceCredential) -> str | None:
        """The caller's own secret of this name, else the home's, else what the runtime's environment has."""
        if credential.home:
            owner = HOME_OWNER
        else:
            owner = self.caller.owner
        return (await self.parts.secrets.given(owner, [credential.name])).get(credential.name)

    async def need(self, service: str, credential: ServiceCredential) -> str:
        """The same. Raises MissingCredential, which says how to get one."""
        if value := await self.secret(credential):
            return value
        raise MissingCredential(
            f"The service {service} needs {credential.name}, which is not set, so nothing was asked.",
            credential=credential.name,
            hint=f"{credential.how} Then `codewords secrets set {credential.name}`.",
        )


_SENTENCES = {
    "missing": "`{field}` is missing.",
    "string_type": "`{field}` must be a string.",
    "bool_parsing": "`{field}` must be true or false.",
    "bool_type": "`{field}` must be true or false.",
    "int_parsing": "`{field}` must be a whole number.",
    "int_type": "`{field}` must be a whole number.",
    "float_parsing": "`{field}` must be a number.",
    "float_type": "`{field}` must be a number.",
    "list_type": "`{field}` must be a list.",
    "dict_type": "`{field}` must be an object.",
    "union_tag_not_found": "`{field}` needs a `type`.",
}


def read(model: type[M], data: Any) -> M:
    """The input as its model. Raises InvalidInput with a sentence for each fault, without what was sent."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise InvalidInput(
            " ".join(dict.fromkeys(_sentence(fault, model) for fault in faults))[:1000],
            hint=f"It takes {_fields(model)}.",
        ) from None


def _sentence(fault: ErrorDetails, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"This call takes {_fields(model)}, nothing else."

    known = _all_names(model)
    parts = [str(part) for part in fault["loc"]]
    field = ".".join(part for part in parts if part in known or part.isdecimal()) or "the body"
    if fault["type"] == "union_tag_invalid":
        return f"`{field}`: its `type` must be one of {fault['ctx']['expected_tags']}."  # type: ignore[typeddict-item]

    template = _SENTENCES.get(fault["type"])
    if template:
        return template.format(field=field)

    return f"`{field}`: {fault['msg'].removeprefix('Value error, ')}."


def _all_names(annotation: Any) -> set[str]:
    """Names of fields, of a model and of those in it: what may be repeated of where a fault is."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        below = [_all_names(one.annotation) for one in annotation.model_fields.values()]
        return set(_names(annotation)).union(*below)
    return set[str]().union(*(_all_names(one) for one in get_args(annotation)))


def _names(model: type[BaseModel]) -> dict[str, str]:
    """What fields are sent as, the way their model spells them first."""
    names: dict[str, str] = {}
    for name, one in model.model_fields.items():
        choices = getattr(one.validation_alias, "choices", [one.validation_alias or name])
        for choice in (*choices, name):
            names.setdefault(str(choice), name)
    return names


def _fields(model: type[BaseModel]) -> str:
    return ", ".join(f"`{name}`" for name in _names(model)) or "no fields"
