"""The authority of a caller: an owner's everything for a person, the agreed manifest for a run.

One immutable object per run, made when the run starts. Every part of the runtime that accepts a
run's key checks it, and no other source: services, models, workflows, hosts, secrets, integrations,
the person's own Chrome, and resources that a workflow made (schedules, webhooks, files). An unknown
run has no authority.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from codewords_mcp.errors import NotAgreed
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.model.integration import variable_of
from codewords_mcp.runtime.model.integration_names import app_name
from codewords_mcp.runtime.model.integration_names import covers as covers_app
from codewords_mcp.runtime.model.manifest import MODELS, PAGE_SERVICES, Manifest, account_item, covers
from codewords_mcp.runtime.model.service_operations import item_of

Refused = Callable[[str, str], object]
"""`refused(run_id, sentence)`: a call of this run was refused."""


def ignore_refusal(_run_id: str, _sentence: str) -> None:
    """Nobody listens."""


_TO_ADD: Final = "under [tool.codewords] in the header and deploy again."


@dataclass(frozen=True, slots=True)
class CallTarget:
    """One thing that a call of a service acts on: the id of a workflow, a host, or a recipient as a manifest names it."""

    kind: Literal["workflow", "host", "recipient"]
    name: str


def host_of(url: str) -> CallTarget:
    """The host of an address as a target; one without a host is allowed nowhere but where any host is."""
    try:
        return CallTarget("host", urlsplit(url.strip()).hostname or "")
    except ValueError:
        return CallTarget("host", "")


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions of a workflow's version, in a form that is quick to check.

    Shared by all its runs.
    """

    service_id: str
    author: str
    manifest: Manifest
    calls: frozenset[str]
    secrets: frozenset[str]
    hidden_secrets: frozenset[str]
    """Those of `secrets` that the code must not see."""
    digest: str
    """Of the manifest: versions with the same one may do the same."""

    @property
    def is_empty(self) -> bool:
        """Whether it may do nothing but call itself."""
        return self.digest == _EMPTY

    def nothing(self) -> Permissions:
        """The same version with nothing but calls of itself."""
        return Permissions.of(self.service_id, self.author, Manifest())

    @classmethod
    def of(cls, service_id: str, author: str, manifest: Manifest) -> Permissions:
        """Prepare the manifest of a version. It may always call itself."""
        # Without the wildcard, which `Manifest.may_call` checks: this set is the quick path.
        calls = {service_id, *manifest.models, *manifest.service_names, *manifest.workflows} - {ANY}
        secrets = frozenset(secret.name for secret in manifest.secrets)
        hidden = frozenset(secret.name for secret in manifest.secrets if secret.hosts is not None)
        return cls(service_id, author, manifest, frozenset(calls), secrets, hidden, _digest(manifest))

    def may_call(self, name: str) -> bool:
        """Whether this service, model provider or workflow may be called."""
        return name in self.calls or self.manifest.may_call(name)


def _digest(manifest: Manifest) -> str:
    # Of the permissions, not of the manifest's text: lines for display don't matter.
    return hashlib.sha256(repr(manifest.grants()).encode()).hexdigest()


_EMPTY: Final = _digest(Manifest())


class Authority(ABC):
    """The permissions of one caller.

    `workflow` is the id of the running workflow, None for a person.

    Each `require_…` returns, or raises NotAgreed.
    """

    __slots__ = ()
    owner: str
    workflow: str | None
    run_id: str | None

    @abstractmethod
    def require_call(self, name: str) -> None:
        """Call this service, model provider or workflow."""

    @abstractmethod
    def require_operation(self, service: str, operation: str) -> None:
        """Call this operation of a library service."""

    @abstractmethod
    def require_account(self, provider: str) -> None:
        """Require access to resources of the account at a model provider: files, batches, models …"""

    @abstractmethod
    def require_target(self, service: str, target: CallTarget) -> None:
        """Let a call of this service act on this target."""

    @abstractmethod
    def require_action(self, app: str, action: str | None) -> None:
        """Require an action of an integration. `app` and `action` are as the caller wrote them.

        Without an action, only the account of the app is read.
        """

    @abstractmethod
    def require_tool(self, server: str, tool: str) -> None:
        """Call a tool of an MCP server. `server` is its name among integrations, as in `mcp_linear`."""

    @abstractmethod
    def require_chrome(self) -> None:
        """Act in the person's own Chrome."""

    @abstractmethod
    def require_person(self, what: str) -> None:
        """Require a person; `what` completes "A run may not …"."""

    @abstractmethod
    def hosts_of(self, service: str) -> tuple[str, ...] | None:
        """The only hosts that a service may reach for this caller; None for any."""

    @abstractmethod
    def finds(self, service_id: str) -> bool:
        """Whether this workflow of the owner's is shown, with its code, versions and runs."""

    @abstractmethod
    def sees(self, maker: str | None) -> bool:
        """Whether a schedule, webhook or file that this workflow made (None: a person) is
        accessible.
        """


@dataclass(frozen=True, slots=True)
class PersonAuthority(Authority):
    """Everything of one owner."""

    owner: str
    workflow: str | None = None
    run_id: str | None = None

    def require_call(self, name: str) -> None:
        """See `Authority`."""

    def require_operation(self, service: str, operation: str) -> None:
        """See `Authority`."""

    def require_account(self, provider: str) -> None:
        """See `Authority`."""

    def require_target(self, service: str, target: CallTarget) -> None:
        """See `Authority`."""

    def require_action(self, app: str, action: str | None) -> None:
        """See `Authority`."""

    def require_tool(self, server: str, tool: str) -> None:
        """See `Authority`."""

    def require_chrome(self) -> None:
        """See `Authority`."""

    def require_person(self, what: str) -> None:
        """See `Authority`."""

    def hosts_of(self, service: str) -> tuple[str, ...] | None:
        """See `Authority`."""
        del service
        return None

    def finds(self, service_id: str) -> bool:
        """See `Authority`."""
        del service_id
        return True

    def sees(self, maker: str | None) -> bool:
        """See `Authority`."""
        del maker
        return True


@dataclass(frozen=True, slots=True)
class RunAuthority(Authority):
    """The permissions of one run. `hosts`: the only ones that its sandbox may reach, None for any."""

    owner: str
    workflow: str | None
    run_id: str | None
    permissions: Permissions
    hosts: tuple[str, ...] | None
    refused: Refused = field(default=ignore_refusal, repr=False, compare=False)

    @property
    def manifest(self) -> Manifest:
        """The agreed manifest of this run."""
        return self.permissions.manifest

    def require_call(self, name: str) -> None:
        """See `Authority`. A workflow may always call itself."""
        if self.permissions.may_call(name):
            return
        shown = _shown(name)
        raise self._refusal(
            f"The workflow's manifest does not list {shown}, so the call was not made.",
            f"If it should be called, add {shown} to `services` {_TO_ADD}",
        )

    def require_operation(self, service: str, operation: str) -> None:
        """See `Authority`. A manifest that lists the service alone allows all of its operations."""
        if self.manifest.may_operate(service, operation):
            return

        raise self._refusal(
            f"The workflow's manifest does not list the operation `{operation}` of `{service}`, so the call was not made.",
            f'If it should be called, add "{item_of(service, operation)}" to `services` {_TO_ADD}',
        )

    def require_account(self, provider: str) -> None:
        """See `Authority`."""
        # Never covered by "any service": what is stored there may be other programs'.
        if account_item(provider) not in self.manifest.models:
            raise self._refusal(
                f"The workflow's manifest does not list the account at {_shown(provider)} (files, batches, fine-tuned models "
                "and what else is stored there), so the call was not made.",
                f'If it should be used, add "{provider}: account" to `services` {_TO_ADD}',
            )

    def require_target(self, service: str, target: CallTarget) -> None:
        """See `Authority`."""
        if target.kind == "workflow":
            self.require_call(target.name)
            return
        if target.kind == "recipient":
            self._require_recipient(target.name)
            return

        hosts = self.hosts_of(service)
        host = normal_host(target.name)
        # loopback is the operator's to open, and judged where it is dialled
        if hosts is None or (host is not None and (covers(hosts, host) or is_this_machine(host))):
            return

        raise self._refusal(
            f"The workflow's manifest does not list {_shown(target.name, 'this host')}, so {service} did not go there.",
            f"If it should be reached, add it to `hosts` {_TO_ADD}",
        )

    def _require_recipient(self, item: str) -> None:
        if not self.manifest.may_ask(item):
            raise self._refusal(
                "The workflow's manifest does not list this recipient of a question, so nothing was asked or sent.",
                "Write `notify` with its addresses as text in the call of `approvals`, and deploy again.",
            )

    def require_action(self, app: str, action: str | None) -> None:
        """See `Authority`. The version declares the app, and its manifest lists the action."""
        manifest, slug = self.manifest, app_name(app)
        # `http` is the broker's own generic action; its hosts are checked as targets.
        if slug != "http" and not any(covers_app(declared, slug) for declared in manifest.connections):
            if slug:
                name = f'"{variable_of(slug)}"'
            else:
                name = "its variable"

            raise self._refusal(
                f"The workflow does not declare that it uses {slug or 'this app'}, so nothing was done.",
                f"Add {name} to env_vars under [tool.env-checker] in the header and deploy again.",
            )
        if action is not None and not manifest.may_act(app, action):
            raise self._refusal(
                "The workflow's manifest does not list this action, so nothing was done.",
                f"Write app and action as text in the call, or add `pipedream` to `services` {_TO_ADD}",
            )

    def require_tool(self, server: str, tool: str) -> None:
        """See `Authority`. The tool is listed by its exact name, or the server with any tool."""
        if not self.manifest.may_use_tool(server, tool):
            raise self._refusal(
                "The workflow's manifest does not list this tool of this MCP server, so nothing was called.",
                f"Write server and tool as text in the call, or add `mcp` to `services` {_TO_ADD}",
            )

    def require_chrome(self) -> None:
        """See `Authority`. The owner of the run agreed to this version's use of it."""
        if not self.manifest.browsers:
            raise self._refusal(
                "Nobody has agreed that this version acts in a person's own Chrome, so nothing was done there.",
                "Name the service as text in the call, or add it to `services` under [tool.codewords] in the header, and "
                "deploy again; the person is asked then.",
            )

    def require_person(self, what: str) -> None:
        """See `Authority`."""
        raise self._refusal(f"A run may not {what}.", "Use a person's key, outside the workflow.")

    def hosts_of(self, service: str) -> tuple[str, ...] | None:
        """See `Authority`. Services that read pages may reach the pages that were agreed to besides."""
        if self.hosts is None or service not in PAGE_SERVICES or not self.manifest.pages:
            return self.hosts
        if ANY in self.manifest.pages:
            return None
        return tuple(sorted({*self.hosts, *self.manifest.pages}))

    def finds(self, service_id: str) -> bool:
        """See `Authority`."""
        return service_id == self.workflow

    def sees(self, maker: str | None) -> bool:
        """See `Authority`."""
        return maker == self.workflow

    def _refusal(self, message: str, hint: str) -> NotAgreed:
        # Reported to the run's log as well: the program may swallow the error of the call.
        error = NotAgreed(message, hint=hint)
        self.refused(self.run_id or "", str(error))
        return error


def _shown(name: str, otherwise: str = "it") -> str:
    """A name in a sentence: only if it looks like one."""
    bare = name.removesuffix(MODELS)
    plain = bare.isascii() and bare.replace("_", "").replace(".", "").replace("-", "").isalnum()
    # The name comes from the program's request: only an identifier is repeated in a message.
    if plain and len(name) <= 80:
        return f"`{name}`"
    return otherwise
