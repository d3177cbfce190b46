"""Which services and workflows a running workflow may call: what its manifest lists."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from codewords_mcp.errors import NotAgreed
from codewords_mcp.runtime.integration_info import variable_of
from codewords_mcp.runtime.integrations.names import app_name, covers
from codewords_mcp.runtime.manifest import Manifest
from codewords_mcp.runtime.models import Caller

REMEMBERED = 10_000
"""Runs that have ended whose manifest is still known."""
Refused = Callable[[str, str], None]
"""`refused(run_id, sentence)`: a call of this run was refused."""


class Permits:
    """The manifests of the runs of this process."""

    def __init__(self) -> None:
        self._alive: dict[str, tuple[str, Manifest | None]] = {}
        self._ended: OrderedDict[str, tuple[str, Manifest | None]] = OrderedDict()
        self.on_refused: Refused = lambda _run_id, _sentence: None

    def begin(self, run_id: str, service_id: str, manifest: Manifest | None) -> None:
        """A run of this workflow begins. Without a manifest (a version of before) it may call whatever there is."""
        self._alive[run_id] = (service_id, manifest)

    def end(self, run_id: str) -> None:
        """It is over. Its key may live on in a program that serves other runs too, under the same manifest. Idempotent."""
        ended = self._alive.pop(run_id, None)
        if ended is not None:
            self._ended[run_id] = ended
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)

    def require(self, caller: Caller, name: str) -> None:
        """Let a call of this service, model provider or workflow pass. Raises NotAgreed.

        Everybody but a running workflow may call what is theirs; a workflow may always call itself.
        """
        if caller.kind != "run":
            return
        run_id = caller.run_id or ""
        # a key is only good while a run of this process has it, so that a run nobody knows here has none
        service_id, manifest = self._alive.get(run_id) or self._ended.get(run_id) or ("", None)
        if manifest is None or name == service_id or manifest.may_call(name):
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
        _, manifest = self._alive.get(run_id) or self._ended.get(run_id) or ("", None)
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

    def _refusal(self, run_id: str, message: str, hint: str) -> NotAgreed:
        error = NotAgreed(message, hint=hint)
        self.on_refused(run_id, str(error))
        return error
