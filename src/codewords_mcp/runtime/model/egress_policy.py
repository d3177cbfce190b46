"""Policy for the destinations of sandboxes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.addresses import Address, not_public, parse_address
from codewords_mcp.runtime.model.host_names import normal_host, parse_host_entry

HOST_ALIAS: Final = "host.codewords.internal"
"""Name of the runtime's machine inside a sandbox (127.0.0.1 there), if `allow_private` opens it."""


OPENABLE: Final = frozenset(
    {"a private address", "a loopback address", "an address of this machine", "a carrier-grade NAT address"}
)
"""Kinds of addresses that an operator may open. No message explains how to open a cloud's metadata.
"""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Judges each connection by the address that is dialled, after the name was resolved.

    mode `internet`: public addresses; `none`: nothing. `allow_private` are `host:port` pairs, with
    a name or an address (IPv6 in brackets), that are allowed in either mode. `hosts`, if set,
    limits all destinations: names or addresses, `*.example.com` for every name below. `server` is the
    MCP server whose list it is, which reasons name instead of a workflow's. The constructor raises
    InvalidInput for an invalid pair or host.
    """

    mode: Literal["internet", "none"] = "internet"
    allow_private: frozenset[str] = frozenset()
    hosts: frozenset[str] | None = None
    server: str = ""
    _allowed: frozenset[tuple[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", frozenset(map(_parse_pair, self.allow_private)))
        if self.hosts is not None:
            object.__setattr__(self, "hosts", frozenset(map(parse_host_entry, self.hosts)))

    def narrowed(self, hosts: Collection[str]) -> EgressPolicy:
        """This policy, for a workflow that lists these hosts only. Raises InvalidInput."""
        return EgressPolicy(self.mode, self.allow_private, frozenset(hosts))

    def for_server(self, server: str, hosts: Collection[str], *, everywhere: bool) -> EgressPolicy:
        """This policy, for an MCP server that lists these hosts, or reaches all public ones.

        What the operator opens on private addresses is open to it only where its list names the host. Raises
        InvalidInput.
        """
        if everywhere:
            return EgressPolicy(self.mode, frozenset(), None, server)
        return EgressPolicy(self.mode, self.allow_private, frozenset(hosts), server)

    @property
    def pairs(self) -> frozenset[tuple[str, int]]:
        """`allow_private`, parsed."""
        return self._allowed

    def _unlisted(self, host: str) -> str | None:
        """Reason to refuse a host that the workflow's own list lacks; None if it may be reached."""
        if self.hosts is None or host in self.hosts:
            return None
        # The operator decides about this machine's ports, not the workflow's author.
        if is_this_machine(host) and not self.server:
            return None

        # Names below a pattern, at any depth; the pattern's own name is not one of them.
        above = host
        while "." in above:
            above = above.partition(".")[2]
            if f"*.{above}" in self.hosts:
                return None

        if self.server:
            return f"the hosts that a person allowed {self.server} do not list it"
        return (
            "the workflow's manifest does not list it; if it should be reached, add it to `hosts` under "
            f'[tool.codewords] in the header and deploy again: hosts = ["{host}"]'
        )

    def lists(self, host: str) -> bool:
        """Whether a host is allowed because its name is listed."""
        return self.hosts is not None and parse_address(host) is None and not is_this_machine(host)

    def lookup_refusal(self, host: str, port: int) -> str | None:
        """Reason why a name may not even be resolved, since a lookup carries data out; None if it
        may.
        """
        if unlisted := self._unlisted(host):
            return unlisted
        if self.mode == "internet" or (host, port) in self._allowed or host == HOST_ALIAS:
            return None
        return "workflows have no network here (CODEWORDS_EGRESS=none)"

    def refusal(self, host: str, port: int, address: Address) -> str | None:
        """Reason why `host`, resolved to `address`, may not be reached at `port`; None if it may
        be.

        The reason completes "may not be reached: …".
        """
        if unlisted := self._unlisted(host):
            return unlisted
        # By name or by address: the operator may know either.
        if (host, port) in self._allowed or (str(address), port) in self._allowed:
            return None
        if self.mode == "none":
            return "workflows have no network here (CODEWORDS_EGRESS=none)"

        reason = not_public(address)
        if reason is None:
            return None

        # A cloud's metadata is never opened, so no message explains how.
        if reason in OPENABLE:
            opened = f"; {_opened_by(host, port)}"
        else:
            opened = ""

        return f"{address} is {reason}{opened}"


def _opened_by(host: str, port: int) -> str:
    """Setting by which the operator opens a host and port."""
    if ":" in host:
        at = f"[{host}]:{port}"
    else:
        at = f"{host}:{port}"
    return f"""the operator opens it by CODEWORDS_EGRESS_ALLOW_PRIVATE='["{at}"]'"""


def is_this_machine(host: str) -> bool:
    """Whether a host is loopback.

    The operator opens it (`allow_private`); a workflow's list does not.
    """
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _parse_pair(pair: str) -> tuple[str, int]:
    host, _, port = pair.strip().rpartition(":")
    normal = normal_host(host)
    if normal is None or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise InvalidInput(
            "CODEWORDS_EGRESS_ALLOW_PRIVATE holds something that is not host:port.",
            hint='Write for example ["127.0.0.1:5432", "db.lan:5432", "[::1]:6379"].',
        )
    return normal, int(port)
