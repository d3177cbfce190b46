"""Specs of sandboxes: limits, environment variables, secrets, and a key of its own for each."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.run_keys import RunKey
from codewords_mcp.runtime.egress.intercept import Interception, SandboxCredential
from codewords_mcp.runtime.gateway.variables import is_provider_key, provider_variables
from codewords_mcp.runtime.model.integration import variable_of
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.request_headers import value_of
from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import Limits, SandboxSpec
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.scrub import label_of
from codewords_mcp.runtime.secrets.service import Secret, SecretService
from codewords_mcp.runtime.workflows.resources import limits_for
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED
from codewords_mcp.settings import Settings

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]+((?:/[^/?#\s]+)*)(/?)((?:[?#]\S*)?)")
"""An address: scheme, path, its last slash, query."""
PORT = 8000
RUNTIME_URI = "http://127.0.0.1:8765"
"""Address of the runtime inside a workflow's network; without a path, since clients drop one."""
COMMON_VARIABLES: Final = frozenset(
    {
        "LOGLEVEL", "PORT", "CODEWORDS_RUNTIME_URI", "RUNTIME_URI", "SERVICE_ID", "CODEWORDS_SERVICE_ROOT",
        "PYTHONHASHSEED",
    }
)  # fmt: skip
"""Variables that are equal in all runs of a version, beside the defaults and the configuration that it declares."""


def limits_of(settings: Settings) -> Limits:
    """The limits of the settings, for a sandbox."""
    return Limits(
        memory=settings.memory_limit,
        disk=settings.disk_limit,
        processes=settings.process_limit,
        start_timeout=settings.start_timeout,
    )


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """A live version with its secrets. Runs with equal configurations may share a sandbox."""

    servable: Servable
    opened: dict[str, Secret]
    pool_key: str
    """Names this combination: service, version and a digest of the secrets' values and rules."""
    unread: Mapping[str, str] = field(default_factory=dict[str, str])
    """Hosts whose content is not recorded for this version, with the reasons."""

    @property
    def secrets(self) -> dict[str, str]:
        """Values by name, which are scrubbed from the version's output."""
        return {name: secret.value for name, secret in self.opened.items()}

    @property
    def config(self) -> dict[str, str]:
        """The plain configuration values of variables that the version declares."""
        declared = {variable.name for variable in self.servable.script.env}
        return {name: value for name, value in self.servable.config.items() if name in declared}

    @property
    def egress(self) -> tuple[str, ...] | None:
        """The only hosts that it may reach, those that its variables name among them; None for any."""
        hosts, manifest = self.servable.egress, self.servable.manifest
        if hosts is None or not manifest.addresses:
            return hosts

        # Few workflows have such variables, and a start need not load the analysis for them.
        from codewords_mcp.runtime.workflows.analysis.hosts import named_in

        values = self.config | self.secrets
        named = {host for name in manifest.addresses for host in named_in(values.get(name, ""))}
        return tuple(sorted({*hosts, *named}))

    @property
    def missing(self) -> list[str]:
        """Required variables without a value."""
        return [
            v.name
            for v in self.servable.script.env
            if v.required
            and v.name not in self.opened
            and v.name not in self.config
            and v.name not in PROVIDED
            and not is_provider_key(v.name)
        ]


class Launcher:
    """Makes sandbox specs."""

    def __init__(
        self, keyring: ApiKeys, secrets: SecretService, recordings: RecordingService, settings: Settings
    ) -> None:
        self._keyring = keyring
        self._secrets = secrets
        self._recordings = recordings
        self._settings = settings
        if settings.record != "off":
            # The roots of fork servers bring the authority along.
            authorities.share(_shared_authority)

    async def launch_config(self, request: RunRequest, servable: Servable) -> LaunchConfig:
        """The version with the values of the secrets that its header declares and its manifest lists.

        A secret that was agreed to for its hosts only, and is plain by now, is left out: the code would see it.
        """
        agreed = servable.permissions.secrets
        declared = [variable.name for variable in servable.script.env if variable.name in agreed]
        owner = _secrets_owner(request, servable)

        if declared:
            stored = await self._secrets.open(owner, declared)
        else:
            stored = {}

        hidden = servable.permissions.hidden_secrets
        opened = {
            name: secret for name, secret in stored.items() if secret.rule is not None or name not in hidden
        }
        contents = [(name, secret.value, secret.rule) for name, secret in sorted(opened.items())]
        # A changed value or rule makes another key: a warm sandbox has the old value in its
        # environment.
        configured = sorted(servable.config.items())
        digest = hashlib.sha256(repr((owner, contents, configured)).encode()).hexdigest()[:16]

        pool_key = f"{servable.service_id}/{servable.version}/{digest}"
        unread = await self._recordings.unread_hosts(servable.service_id, servable.version)
        return LaunchConfig(servable, opened, pool_key, unread)

    async def config_without_values(self, servable: Servable) -> LaunchConfig:
        """The version with texts in place of the values of its secrets, by which its requests are as recorded.

        They are removed from what it sends as the values are. Of a value only its form is looked at.
        """
        agreed = servable.permissions.secrets
        names = [variable.name for variable in servable.script.env if variable.name in agreed]
        if names:
            stored = await self._secrets.open(servable.owner, names)
        else:
            stored = {}
        opened = {name: Secret(_stand_in(name, secret)) for name, secret in stored.items()}
        return LaunchConfig(servable, opened, f"{servable.service_id}/{servable.version}/without values")

    def spec(
        self, config: LaunchConfig, *, records: bool = False
    ) -> tuple[SandboxSpec, RunKey, Interception | None]:
        """A spec, the key in it, not bound to a run yet, and what reads its connections, if anything does.

        With `records` they are read whatever the policy of the version is.
        """
        servable, sandbox_id = config.servable, uuid.uuid4().hex
        key = self._keyring.new_run_key(sandbox_id)
        env = {
            variable.name: variable.default
            for variable in servable.script.env
            if variable.default is not None
        }
        env |= config.config
        common = {*env, *COMMON_VARIABLES}
        declared = {variable.name: variable.default for variable in servable.script.env}
        routed = provider_variables(declared, key=key.text, runtime=RUNTIME_URI)
        credentials = [
            SandboxCredential(name, new_placeholder(secret.value), secret.value, secret.rule)
            for name, secret in config.opened.items()
            if secret.rule is not None and name not in routed
        ]

        # A list of the program's own stays its own, where it need not be replaced for a rule or a recorder that answers.
        needed = bool(credentials) or servable.inspects or records
        trusted = needed or not authorities.names_list(env | config.secrets)
        records = records or self._records(servable)
        if credentials or records:
            interception = Interception(
                credentials,
                everywhere=servable.inspects,
                records=records,
                trusted=trusted,
                unread=dict(config.unread),
                on_unread=partial(self._recordings.add_unread_host, servable.service_id, servable.version),
            )
        else:
            interception = None

        env |= config.secrets | {item.name: item.placeholder for item in credentials} | routed
        env |= {
            "PORT": str(PORT),
            "CODEWORDS_API_KEY": key.text,
            "CODEWORDS_RUNTIME_URI": RUNTIME_URI,
            "RUNTIME_URI": RUNTIME_URI,
            "SERVICE_ID": servable.service_id,
            "CODEWORDS_SERVICE_ROOT": f"/run/{servable.service_id}",
            "PYTHONHASHSEED": "0",
        }
        # The right itself goes with the run's key (`auth/authority.py`); that the variable is set is all that it says.
        env |= {variable_of(app): f"granted:{app}" for app in servable.script.connections}
        env.setdefault("LOGLEVEL", "INFO")
        spec = SandboxSpec(
            id=sandbox_id,
            environment=servable.environment,
            code=servable.code,
            env=env,
            limits=limits_for(limits_of(self._settings), servable.script.tool),
            port=PORT,
            authority=interception.authority.pem if interception and trusted else "",
            snapshot=frozenset(common - {*config.secrets, *routed}) if servable.snapshots else None,
        )

        return spec, key, interception

    def _records(self, servable: Servable) -> bool:
        """Whether the connections of ordinary runs of this version are recorded."""
        # On E2B each connection would pass this machine only to be written down.
        if servable.keep_warm or self._settings.sandbox == "e2b":
            return False
        return servable.recording_policy(self._settings.record) != "off"


def _shared_authority() -> str:
    from codewords_mcp.runtime.egress.intercept.authority import shared_authority

    return shared_authority().pem


def _stand_in(name: str, secret: Secret) -> str:
    """The text for a program in place of a secret: an address where it is one that the program sees, else its label."""
    address = _ADDRESS.fullmatch(secret.value)
    if address is None or secret.rule is not None:
        return label_of(name)
    # With a path and a query where it has them: clients write an address without a path anew.
    scheme, path, slash, query = address.groups()
    host = f"{name.lower().replace('_', '-').strip('-')[:60]}.secret.example"
    return f"{scheme}{host}{'/path' if path else ''}{slash}{'?query=' if query else ''}"


def _secrets_owner(request: RunRequest, servable: Servable) -> str:
    # `Run-As-Template: yes` runs somebody's public workflow with the caller's own secrets. A run's key cannot ask for
    # that, else the author's code would do it by calling itself.
    if request.caller.kind != "run" and (value_of(request.headers, b"run-as-template") or "").lower() in {
        "yes",
        "true",
        "1",
    }:
        return request.caller.owner
    return servable.owner
