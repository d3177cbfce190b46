"""Which services and workflows a running workflow may call: what its manifest lists."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from codewords_mcp.errors import NotAgreed
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
        error = NotAgreed(
            f"The workflow's manifest does not list {shown}, so the call was not made.",
            hint=f"If it should be called, add {shown} to `services` under [tool.codewords] in the header and deploy again.",
        )
        self.on_refused(run_id, str(error))
        raise error
