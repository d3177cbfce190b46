"""Library services: operations with pydantic models for input and output, called by name like
workflows.

A service is one module with a `Service`. Validation, the description in /openapi.json, the
`services` resource, the reference page and the contract tests are made from it. `registry.py` names
each service in one line; other packages name theirs by an entry point of the group
`codewords_mcp.services`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from pydantic import AliasChoices, BaseModel, ConfigDict

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.errors import MissingCredential, NotFound, StorageQuotaExceeded, UpstreamFailed
from codewords_mcp.errors.remedies import Remedy, set_secret
from codewords_mcp.runtime.auth.authority import Authority, CallTarget
from codewords_mcp.runtime.browser.base import BrowserGone, BrowserUser, Tab
from codewords_mcp.runtime.browser.sessions import Browsers
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.integrations.service import Integrations
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, MadeBy
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.service_operations import ReadingInput, operation_name
from codewords_mcp.runtime.model.service_table import Change
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.services._logins import LoginService
from codewords_mcp.runtime.services._waiting import Waits
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore
from codewords_mcp.runtime.store.workflow_databases.base import WorkflowDatabases
from codewords_mcp.runtime.triggers.schedules import ScheduleService
from codewords_mcp.runtime.triggers.webhooks import WebhookService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

Effect = Literal["reads", "writes"]
log = structlog.get_logger(__name__)


class Input(BaseModel):
    """Base of the inputs. Unknown fields are refused."""

    # Errors must not show values, which may be secrets.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Output(BaseModel):
    """Base of the outputs. Only fields that were set are sent."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class ServiceCredential:
    """A secret that a service uses. `how` tells how to get it, `without` how the service works without it.

    An empty `without` means that the service needs it. With `essential` the service starts without
    it, but can't do its main work. `home` credentials are read from the home's secrets only: they
    name a machine to connect to, which may be private.
    """

    name: str
    how: str
    without: str = ""
    home: bool = False
    essential: bool = False


@dataclass(frozen=True, slots=True)
class ReadsWhen:
    """Inputs with which a writing operation only reads, said so that modules know it which do not have the service.

    Their `field` has one of `values`. Without a field: they have none that the model does not know, `passive` ones aside.
    """

    field: str = ""
    values: frozenset[str] = frozenset()
    passive: frozenset[str] = frozenset()

    def __call__(self, data: BaseModel) -> bool:
        """Whether this input only reads."""
        if self.field:
            return getattr(data, self.field) in self.values
        return not set(data.model_extra or {}) - self.passive

    def as_sent(self, model: type[BaseModel]) -> ReadingInput:
        """The same, by the names that a request's body has."""
        if self.field:
            return ReadingInput(_names_of(model, self.field), tuple(sorted(self.values)))
        known = {name for field in model.model_fields for name in _names_of(model, field)}
        return ReadingInput(known=tuple(sorted(known | self.passive)))


def _names_of(model: type[BaseModel], name: str) -> tuple[str, ...]:
    alias = model.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        choices = alias.choices
    else:
        choices = [alias]
    return tuple(dict.fromkeys([name, *(one for one in choices if isinstance(one, str))]))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service. `path` follows the service's id; "v2/*" stands for all paths
    below v2.

    `call(context, input)` returns the output and raises CodewordsError with a message of our own.
    `effect` is "writes" if a call may send, change, make or act on something; a person is asked
    before a model calls it. `reads_when(input)` is true for inputs with which a writing operation
    only reads; `effect_in(context, input)` says the same of one that depends on what it acts on.
    Responses of `private` operations are not stored in the run's record, but for their fields `recorded`.
    `example` is an input that a reader can try. `targets(input)` lists the workflows and hosts that the call
    acts on; a run may name only targets that its authority allows.
    """

    summary: str
    input: type[BaseModel]
    output: type[BaseModel]
    call: Callable[[ServiceContext, Any], Awaitable[BaseModel]]
    effect: Effect
    reads_when: Callable[[Any], bool] | None = None
    effect_in: Callable[[ServiceContext, Any], Awaitable[Effect]] | None = None
    path: str = ""
    aliases: tuple[str, ...] = ()
    private: bool = False
    recorded: tuple[str, ...] = ()
    example: dict[str, Any] | None = None
    targets: Callable[[Any], Iterable[CallTarget]] | None = None

    def effect_of(self, data: BaseModel) -> Effect:
        """Return the effect of a call with this input."""
        if self.effect == "writes" and self.reads_when is not None and self.reads_when(data):
            return "reads"
        return self.effect

    async def effect_of_call(self, context: ServiceContext, data: BaseModel) -> Effect:
        """Return the effect of this very call. Raises what the call would raise before it acts."""
        if self.effect_in is not None:
            return await self.effect_in(context, data)
        return self.effect_of(data)

    @property
    def name(self) -> str:
        """The name of this operation in a manifest."""
        return operation_name(self.paths)

    @property
    def change(self) -> Change:
        """Its effect in a manifest."""
        if self.effect == "reads":
            return ""
        if self.reads_when is None:
            return "writes"
        return "may write"

    @property
    def paths(self) -> tuple[str, ...]:
        """The path and its aliases."""
        return (self.path, *self.aliases)


@dataclass(frozen=True, slots=True)
class Unavailability:
    """Reason why every call of a service is refused now. `fix` says what to do; it contains the words of the `remedy`."""

    reason: str
    fix: str = ""
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One library service. Its calls are runs: recorded, attributed and limited in time."""

    name: str
    title: str
    summary: str
    operations: tuple[Operation, ...]
    credentials: tuple[ServiceCredential, ...] = ()
    unavailable: Callable[[ServiceDependencies, str], Awaitable[Unavailability | None]] | None = None
    """Returns why an owner's calls are refused now, None if they are not."""
    acts_with: str = ""
    """Credential of its calls in a question to a person ("your GITHUB_TOKEN"); by default the first of `credentials`."""
    waits: bool = False
    """Its calls may last for days. They bound themselves, and a call that was broken off leaves no record of its own."""

    def authority(self) -> str:
        """The credential that its calls act with; "" if they need nothing of a person."""
        if self.acts_with or not self.credentials:
            return self.acts_with
        return f"your {self.credentials[0].name}"

    def find(self, path: str) -> Operation:
        """Return the operation at a path; slashes around it are ignored. Raises NotFound, which
        names all paths.
        """
        bare = path.strip("/")
        # An exact path comes before a pattern.
        for operation in self.operations:
            if bare in operation.paths:
                return operation
        for operation in self.operations:
            if any(known.endswith("*") and bare.startswith(known[:-1]) for known in operation.paths):
                return operation
        known = ", ".join(f"/{operation.path}" for operation in self.operations)
        raise NotFound(
            f"The service {self.name} has no operation at this path.", hint=f"Its paths are {known}."
        )


@dataclass(frozen=True, slots=True)
class ServiceDependencies:
    """The components of the home that services use."""

    settings: Settings
    database: Database
    secrets: SecretService
    web: Web
    gateway: Gateway
    schedules: ScheduleService
    webhooks: WebhookService
    logins: LoginService
    socket_state: Callable[[str], Awaitable[str]]
    """The state of an owner's socket to Slack, as a sentence."""
    files: FileStore
    address: Callable[[], str]
    """The address at which the runtime is reached from outside, without a slash at the end."""
    derive: Callable[[str], bytes]
    """Derives the home's own key for a purpose; the same at each call."""
    integrations: Integrations
    browsers: Browsers
    waits: Waits
    databases: WorkflowDatabases
    full_storage: Callable[[str], Awaitable[StorageQuotaExceeded | None]]
    """The error for whatever would store more, where the quota of an owner is used up."""


@dataclass(slots=True)
class CallConsumption:
    """Resources that one call used on this machine, for its run's record: columns of the row, and
    `usage` by kind.
    """

    columns: RunColumns = field(default_factory=RunColumns)
    usage: JsonObject = field(default_factory=JsonObject)


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """One call: the caller, its authority, and the components that the service may use."""

    dependencies: ServiceDependencies
    caller: Caller
    run_id: str
    path: str
    method: str
    data: dict[str, Any]
    """The input as it was received."""
    service: str
    authority: Authority
    made_by: MadeBy | None = None
    """The schedule or webhook that makes this call; None if a person makes it."""
    consumption: CallConsumption = field(default_factory=CallConsumption)
    repeat_key: str | None = None
    """By which a later attempt at the calling run makes the same call again; only for services that wait."""

    @property
    def web(self) -> Web:
        """The guarded HTTP client."""
        return self.dependencies.web

    @property
    def settings(self) -> Settings:
        """The runtime's settings."""
        return self.dependencies.settings

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The only hosts that this service may reach for the caller, None for any. See
        `Authority.hosts_of`.
        """
        return self.authority.hosts_of(self.service)

    @property
    def policy(self) -> EgressPolicy:
        """The egress policy of this service's calls for the caller."""
        hosts = self.hosts
        if hosts is None:
            return self.web.policy
        return self.web.policy.narrowed(hosts)

    @asynccontextmanager
    async def browser(self, *, own: bool = False) -> AsyncGenerator[Tab]:
        """A tab in the browser of the caller's run. Its resource use is counted on this call.

        `own`: in the person's own Chrome, if one is paired and the manifest has `OWN_CHROME`.
        Raises NotConnected, TooBusy, SandboxFailed, EnvironmentFailed; UpstreamFailed if the
        browser ended.
        """
        # Calls of one run go on in the same browser; a call from outside is a run of its own.
        user = BrowserUser(self.caller, self.caller.run_id or self.run_id, self.hosts, own)
        lease = None

        try:
            async with self.dependencies.browsers.lease(user) as lease:
                yield lease.tab
        except BrowserGone as gone:
            raise UpstreamFailed(gone.message, hint="Try again with a smaller page.") from gone
        finally:
            # The use of a failed call counts as well.
            if lease is not None:
                used = lease.used
                self.consumption.usage["browser"] = {"kind": lease.kind, "seconds": round(used.seconds, 3)}
                self.consumption.columns.update(
                    {
                        "cpu_seconds": used.cpu_seconds,
                        "peak_memory": used.peak_memory,
                        "egress_in": used.egress_in,
                        "egress_out": used.egress_out,
                    }
                )

    @property
    def workflow(self) -> str | None:
        """The id of the calling workflow; None for a person."""
        return self.authority.workflow

    async def secret(self, credential: ServiceCredential) -> str | None:
        """Return the caller's own secret of this name, else the home's, else the runtime's
        environment's.
        """
        if credential.home:
            # A secret of a caller would let it point the runtime at private addresses.
            owner = HOME_OWNER
        else:
            owner = self.caller.owner
        return (await self.dependencies.secrets.resolve(owner, [credential.name])).get(credential.name)

    async def need(self, service: str, credential: ServiceCredential) -> str:
        """Return the secret. Raises MissingCredential, whose hint tells how to get one."""
        if value := await self.secret(credential):
            return value
        raise MissingCredential(
            f"The service {service} needs {credential.name}, which is not set, so no request was made.",
            credential=credential.name,
            hint=credential.how,
            remedy=set_secret(credential.name),
        )
