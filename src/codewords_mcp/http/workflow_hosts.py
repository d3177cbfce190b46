"""The host names under which workflows have origins of their own: `<label>.localhost`, and a domain that an operator sets."""

from __future__ import annotations

from urllib.parse import urlsplit

from codewords_mcp.settings import Settings

LOCALHOST = ".localhost"


class WorkflowHosts:
    """Tells the hosts of workflows from those of the runtime, and makes origins of workflows."""

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.pages_url or "")
        self._scheme = address.scheme
        self._port = f":{address.port}" if address.port else ""
        self._suffix = f".{address.hostname}" if address.hostname else ""
        public = urlsplit(settings.public_url or "").hostname
        self._runtime = frozenset(
            name.lower() for name in (*settings.allowed_hosts, *([public] if public else []))
        )

    def label(self, name: str, authority: str) -> str | None:
        """The label of a host below one of the domains; None for a host of the runtime. Both are in lower case."""
        # A name that the settings list is the runtime's own, as it was before.
        if name in self._runtime or authority in self._runtime:
            return None
        for suffix in (LOCALHOST, self._suffix):
            if suffix and name.endswith(suffix):
                return name.removesuffix(suffix)
        return None

    def scheme(self, name: str, served: str) -> str:
        """The scheme by which browsers reach a workflow's host: that of the domain's URL, else as the request was served."""
        if self._suffix and name.endswith(self._suffix):
            return self._scheme
        return {"ws": "http", "wss": "https"}.get(served, served)

    def origin(self, label: str, runtime_url: str, *, local: bool) -> str | None:
        """The origin of a workflow, for a browser that knows the runtime by `runtime_url`. `local`: on this machine.

        None where such a browser has no name for it.
        """
        if local:
            port = urlsplit(runtime_url).port
            return f"http://{label}{LOCALHOST}{f':{port}' if port else ''}"
        if self._suffix:
            return f"{self._scheme}://{label}{self._suffix}{self._port}"
        return None
