"""Which services and workflows a running workflow may call: what its manifest lists."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from codewords_mcp.errors import NotAgreed
from codewords_mcp.runtime.integration_info import variable_of
from codewords_mcp.runtime.integrations.names import app_name, covers
from codewords_mcp.runtime.manifest import Manifest
from codewords_mcp.runtime.models import Caller

REMEMBERED = 10_000
"""Runs that have ended whose manifest is still known."""
Refused = Callable[[str, str], None]
"""`refused(run_id, sentence)`: a call of this run was refused."""


class _Run(NamedTuple):
    """Which workflow runs, whose it is, and what it may do."""

    service_id: str = ""
    owner: str = ""
    manifest: Manifest | None = None


class Permits:
    """The manifests of the runs of this process."""

    def __init__(self) -> None:
        self._alive: dict[str, _Run] = {}
        self._ended: OrderedDict[str, _Run] = OrderedDict()
        self.on_refused: Refused = lambda _run_id, _sentence: None

    def begin(self, run_id: str, service_id: str, manifest: Manifest | None, owner: str = "") -> None:
        """A run of this owner's workflow begins. Without a manifest (a version of before) it may call whatever there is."""
        self._alive[run_id] = _Run(service_id, owner, manifest)

    def end(self, run_id: str) -> None:
        """It is over. Its key may live on in a program that serves other runs too, under the same manifest. Idempotent."""
        ended = self._alive.pop(run_id, None)
        if ended is not None:
            self._ended[run_id] = ended
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)

    def service_of(self, run_id: str) -> str | None:
        """The workflow that a run executes; None for an unknown run."""
        return self._of(run_id).service_id or None

    def require(self, caller: Caller, name: str) -> None:
        """Let a call of this service, model provider or workflow pass. Raises NotAgreed.

        Everybody but a running workflow may call what is theirs; a workflow may always call itself.
        """
        if caller.kind != "run":
            return
        run_id = caller.run_id or ""
        run = self._of(run_id)
        if run.manifest is None or name == run.service_id or run.manifest.may_call(name):
            return
        shown = (
            f"`{name}`" if name.isascii() and name.replace("_", "").isalnum() and len(name) <= 80 else "it"
        )
        raise self._refusal(
            run_id,
            f"The workflow's manifest does not list {shown}, so the call was not made.",
            f"If it should be called, add {shown} to `services` under [tool.codewords] in the header and deploy again.",
        )

    def require_action(self, caller: Caller, app: str, action: str | None) -> None:
        """Let an integration be used: a running workflow declares the app, and its manifest lists the action.

        The names are as the caller wrote them; without an action only the app's account is looked into. Raises NotAgreed.
        """
        if caller.kind != "run":
            return
        run_id = caller.run_id or ""
        manifest = self._of(run_id).manifest
        if manifest is None:
            return
        slug = app_name(app)
        if slug != "http" and not any(covers(declared, slug) for declared in manifest.connections):
            name = f'"{variable_of(slug)}"' if slug else "its variable"
            raise self._refusal(
                run_id,
                f"The workflow does not declare that it uses {slug or 'this app'}, so nothing was done.",
                f"Add {name} to env_vars under [tool.env-checker] in the header and deploy again.",
            )
        if action is not None and not manifest.may_act(app, action):
            raise self._refusal(
                run_id,
                "The workflow's manifest does not list this action, so nothing was done.",
                "Write app and action as text in the call, or add `pipedream` to `services` under [tool.codewords] in the "
                "header, and deploy again.",
            )

    def require_chrome(self, caller: Caller) -> None:
        """Let a call act in the caller's own Chrome. Raises NotAgreed.

        A workflow may where its owner agreed to just that, and in its owner's only: whoever else runs it was not asked.
        """
        if caller.kind != "run":
            return
        run_id = caller.run_id or ""
        run = self._of(run_id)
        if run.manifest is None or not run.manifest.browsers:
            raise self._refusal(
                run_id,
                "Nobody has agreed that this version acts in a person's own Chrome, so nothing was done there.",
                "Name the service as text in the call, or add it to `services` under [tool.codewords] in the header, and "
                "deploy again; the person is asked then.",
            )
        if run.owner != caller.owner:
            raise self._refusal(
                run_id,
                "The workflow is somebody else's, so it does not act in your own Chrome.",
                "Deploy a copy of your own, and agree to that.",
            )

    def _of(self, run_id: str) -> _Run:
        # a key is only good while a run of this process has it, so that a run nobody knows here has none
        return self._alive.get(run_id) or self._ended.get(run_id) or _Run()

    def _refusal(self, run_id: str, message: str, hint: str) -> NotAgreed:
        error = NotAgreed(message, hint=hint)
        self.on_refused(run_id, str(error))
        return error
