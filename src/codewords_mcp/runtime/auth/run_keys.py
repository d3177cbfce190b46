"""Keys of running sandboxes, which are in memory only."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable

from codewords_mcp.runtime.auth.key_format import hash_key, new_run_key
from codewords_mcp.runtime.model.caller import Caller


class RunKey:
    """The key of one sandbox. It acts for the run that was bound last; without one it is refused."""

    def __init__(self, sandbox_id: str, on_unbound: Callable[[str], None]) -> None:
        self.text = new_run_key()
        self._digest = hash_key(self.text)
        self._sandbox_id = sandbox_id
        self._callers: list[Caller] = []
        self._on_unbound = on_unbound

    @property
    def caller(self) -> Caller | None:
        """The run that calls with this key are attributed to."""
        if self._callers:
            # A sandbox that serves several runs can't say which of them calls; the newest is
            # taken.
            return self._callers[-1]
        return None

    @property
    def run_ids(self) -> frozenset[str]:
        """The runs that the sandbox serves now."""
        return frozenset(caller.run_id for caller in self._callers if caller.run_id is not None)

    def matches(self, text: str) -> bool:
        """Whether this text is the key; takes the same time for every text."""
        return random.compare_digest(self._digest, hash_key(text))

    def bind(self, caller: Caller) -> None:
        """Attribute calls with this key to this run, until it is unbound or another one is bound."""
        self._callers.append(caller)

    def unbind(self, caller: Caller | None = None) -> None:
        """Release this run, or all. Idempotent.

        Without any run the key is refused, and its sandbox's connections are closed.
        """
        if caller is None:
            self._callers.clear()
        elif caller in self._callers:
            self._callers.remove(caller)
        if not self._callers:
            # An open connection was authenticated for the run that has ended.
            self._on_unbound(self._sandbox_id)
