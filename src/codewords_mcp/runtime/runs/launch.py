"""What a sandbox is started with: limits, environment variables and secrets, and a key of its own."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from codewords_mcp.runtime.gateway.variables import PROVIDER_KEYS, provider_variables
from codewords_mcp.runtime.models import RunRequest
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.request_headers import value_of
from codewords_mcp.runtime.sandboxes.base import Limits, SandboxSpec
from codewords_mcp.runtime.secrets.access import Keyring, RunKey, SecretBook
from codewords_mcp.runtime.workflows.reach.hosts import named_in
from codewords_mcp.settings import Settings

PORT = 8000
CONNECTION = re.compile(r"PIPEDREAM_[A-Z0-9_]+_ACCESS")
RUNTIME_URI = "http://127.0.0.1:8765"
"""How a workflow reaches the runtime, inside its own network; without a path, since clients drop one."""


def limits_of(settings: Settings) -> Limits:
    """The limits of the settings, for a sandbox."""
    return Limits(
        memory=settings.memory_limit,
        disk=settings.disk_limit,
        processes=settings.process_limit,
        start_timeout=settings.start_timeout,
    )


@dataclass(frozen=True, slots=True)
class Kit:
    """A live version with the secrets that it gets: whatever is equal here may be served by the same sandbox."""

    servable: Servable
    secrets: dict[str, str]
    shelf: str
    """Names this combination: service, version and a digest of the secrets' values."""

    @property
    def egress(self) -> tuple[str, ...] | None:
        """The only hosts that it may reach, those that its variables name among them; None for any."""
        hosts, manifest = self.servable.egress, self.servable.manifest
        if hosts is None or manifest is None:
            return hosts
        named = {host for name in manifest.addresses for host in named_in(self.secrets.get(name, ""))}
        return tuple(sorted({*hosts, *named}))

    @property
    def missing(self) -> list[str]:
        """Required variables without a value."""
        return [
            v.name
            for v in self.servable.script.env
            if v.required
            and v.name not in self.secrets
            and v.name not in _OURS
            and v.name not in PROVIDER_KEYS
            and not CONNECTION.fullmatch(v.name)
        ]


_OURS = frozenset(
    {
        "PORT",
        "LOGLEVEL",
        "CODEWORDS_API_KEY",
        "CODEWORDS_RUNTIME_URI",
        "RUNTIME_URI",
        "SERVICE_ID",
        "CODEWORDS_SERVICE_ROOT",
        "PYTHONHASHSEED",
    }
)


class Launcher:
    """Makes sandbox specs."""

    def __init__(self, keyring: Keyring, secrets: SecretBook, settings: Settings) -> None:
        self._keyring = keyring
        self._secrets = secrets
        self._settings = settings

    async def kit(self, request: RunRequest, servable: Servable) -> Kit:
        """The version with the values of the secrets that its header declares."""
        declared = [variable.name for variable in servable.script.env]
        owner = _secrets_owner(request, servable)
        values = await self._secrets.values(owner, declared) if declared else {}
        digest = hashlib.sha256(repr((owner, sorted(values.items()))).encode()).hexdigest()[:16]
        return Kit(servable, values, f"{servable.service_id}/{servable.version}/{digest}")

    def spec(self, kit: Kit) -> tuple[SandboxSpec, RunKey]:
        """A spec and the key in it, not bound to a run yet."""
        servable, key = kit.servable, self._keyring.new_run_key()
        env = {
            variable.name: variable.default
            for variable in servable.script.env
            if variable.default is not None
        }
        env |= kit.secrets
        env |= provider_variables(
            (v.name for v in servable.script.env if v.default is None), key=key.text, runtime=RUNTIME_URI
        )
        env |= {
            "PORT": str(PORT),
            "CODEWORDS_API_KEY": key.text,
            "CODEWORDS_RUNTIME_URI": RUNTIME_URI,
            "RUNTIME_URI": RUNTIME_URI,
            "SERVICE_ID": servable.service_id,
            "CODEWORDS_SERVICE_ROOT": f"/run/{servable.service_id}",
            "PYTHONHASHSEED": "0",
        }
        env.setdefault("LOGLEVEL", "INFO")
        spec = SandboxSpec(
            id=uuid.uuid4().hex,
            environment=servable.environment,
            code=servable.code,
            env=env,
            limits=limits_of(self._settings),
            port=PORT,
        )
        return spec, key


def _secrets_owner(request: RunRequest, servable: Servable) -> str:
    # `Run-As-Template: yes` runs somebody's public workflow with the caller's own secrets
    if (value_of(request.headers, b"run-as-template") or "").lower() in {"yes", "true", "1"}:
        return request.caller.owner
    return servable.owner
