"""Addresses in a script that sandboxes can't reach: their own loopback, and private networks that
are not allowed.
"""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Collection, Iterator
from typing import NamedTuple

from codewords_mcp.runtime.model.addresses import Address, not_public, parse_address
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS, OPENABLE
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import Script

_MAX_WARNINGS = 5
"""Maximum addresses reported. Further ones have the same cause."""
_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://(?:[^\s/?#@]{0,300}@)?"
    r"(\[[^\]\s]{1,60}\]|[^\s:/?#\\,@]{1,253})(?::(\d{1,5})(?!\d))?"
)
"""Each part is bounded: a script may be a megabyte on one line."""
_RUNTIME = ("127.0.0.1", 8765)
"""The runtime's address for sandboxes, as scripts have it as a default."""
_DOCKER = frozenset(
    {
        "host.docker.internal",
        "gateway.docker.internal",
        "kubernetes.docker.internal",
        "docker.for.mac.localhost",
        "docker.for.win.localhost",
        "host.containers.internal",
        "host.lima.internal",
    }
)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\.?", re.IGNORECASE)
_HOST_KEYWORDS = frozenset({"host", "hostname", "server", "address"})
_SERVERS = frozenset(
    {"run", "serve", "Config", "Server", "start_server", "create_server", "bind", "TCPServer", "HTTPServer"}
)
"""Calls that listen on an address instead of connecting to it."""


class _HostUse(NamedTuple):
    host: str
    port: int | None
    line: int | None


def check_private_hosts(script: Script, allowed: Collection[str]) -> list[Check]:
    """A warning for each unreachable address. `allowed`: the `host:port` pairs of
    CODEWORDS_EGRESS_ALLOW_PRIVATE.
    """
    pairs = {pair.strip().lower() for pair in allowed}
    match: dict[tuple[str, int | None], Check] = {}
    for use in _host_uses(script):
        key = (use.host, use.port)
        if key not in match and (check := _judge(use, pairs)):
            match[key] = check
    return list(match.values())[:_MAX_WARNINGS]


def _judge(use: _HostUse, pairs: set[str]) -> Check | None:
    host, port = use.host.strip("[]").lower().removesuffix("."), use.port
    address = _address(host)
    own = host == "localhost" or (host.endswith(".localhost") and host not in _DOCKER)
    if own or (address is not None and (address.is_loopback or address.is_unspecified)):
        # The internal listener is at this address inside of every sandbox.
        if (host, port) == _RUNTIME or (host == "localhost" and port == _RUNTIME[1]):
            return None
        return _warning(
            use,
            f"{host} is the sandbox's own loopback there; nothing of this machine listens on it.",
            _to_machine(port, pairs),
        )
    if host in _DOCKER:
        return _warning(
            use,
            f"{host} is Docker's name for the machine, which sandboxes do not know.",
            _to_machine(port, pairs),
        )
    if host == HOST_ALIAS:
        if port is None or f"127.0.0.1:{port}" in pairs or f"{host}:{port}" in pairs:
            return None
        return _warning(
            use, f"Port {port} of this machine is not open to workflows.", _setting(f"127.0.0.1:{port}")
        )

    if address is None:
        reason = None
    else:
        reason = not_public(address)

    if (
        address is None
        or reason is None
        or (port and (f"{host}:{port}" in pairs or f"{_to_text(address)}:{port}" in pairs))
    ):
        return None
    # No setting opens these (link-local addresses with the cloud's credentials, multicast), so
    # none is suggested.
    if reason not in OPENABLE:
        return _warning(use, f"{host} is {reason}, which workflows do not reach.", None)

    return _warning(
        use,
        f"{host} is {reason}, which workflows reach only where the operator lets them.",
        _setting(f"{_to_text(address)}:{port or 'PORT'}"),
    )


def _to_machine(port: int | None, pairs: set[str]) -> str:
    port_text = port or "PORT"
    advice = f"Write {HOST_ALIAS}:{port_text}: that is this machine."
    if f"127.0.0.1:{port}" in pairs:
        return advice
    return f"{advice} {_setting(f'127.0.0.1:{port_text}')}"


def _setting(pair: str) -> str:
    return f"""Then start the runtime with CODEWORDS_EGRESS_ALLOW_PRIVATE='["{pair}"]'."""


def _warning(use: _HostUse, message: str, fix: str | None) -> Check:
    return Check(id="hosts", status="warning", message=message, line=use.line, fix=fix)


def _to_text(address: Address) -> str:
    if address.version == 6:
        return f"[{address}]"
    return str(address)


def _address(host: str) -> Address | None:
    """Parse an address, also in spellings that only the C library and browsers accept (`127.1`,
    `0x7f000001`).
    """
    known = parse_address(host)
    if known is None and _NUMERIC.fullmatch(host):
        try:
            # inet_aton reads what a program's libc would read, so that 0x7f000001 isn't
            # overlooked.
            known = parse_address(socket.inet_ntoa(socket.inet_aton(host.removesuffix("."))))
        except OSError:
            return None
    # ::ffff:10.0.0.1 connects to 10.0.0.1.
    return getattr(known, "ipv4_mapped", None) or known


def _host_uses(script: Script) -> Iterator[_HostUse]:
    """Addresses in the header's defaults, in string literals, and in host arguments of calls."""
    for variable in script.env:
        if variable.default:
            yield from _urls(variable.default, None)

    tree = script.whole_tree
    if tree is None:
        return

    compared = {id(text) for text in _origins(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in compared:
                yield from _urls(text, node.lineno)
            case ast.Call() if not _listens(node):
                yield from _keywords(node)
            case ast.Tuple(elts=[ast.Constant(value=str(host)), ast.Constant(value=int(port))]) if (
                "://" not in host and not isinstance(port, bool)
            ):
                yield _HostUse(host, port, node.lineno)
            case _:
                pass


def _origins(tree: ast.Module) -> Iterator[ast.AST]:
    """Members of lists of origins, as CORS has them: addresses that are compared and never called."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.keyword(arg=str(name), value=value)
            ) if name.lower().endswith("origins"):
                yield from ast.walk(value)
            case _:
                pass


def _urls(text: str, line: int | None) -> Iterator[_HostUse]:
    # A literal of megabytes is data, and the expression is not free.
    for match in _URL.finditer(text[:100_000]):
        yield _HostUse(match[1], int(match[2]) if match[2] else None, line)


def _keywords(call: ast.Call) -> Iterator[_HostUse]:
    arguments = {
        argument.arg: argument.value.value
        for argument in call.keywords
        if argument.arg and isinstance(argument.value, ast.Constant)
    }
    port = arguments.get("port")
    for name in _HOST_KEYWORDS & arguments.keys():
        host = arguments[name]
        if isinstance(host, str) and "://" not in host and " " not in host:
            yield _HostUse(host, port if isinstance(port, int) else None, call.lineno)


def _listens(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute):
        name = call.func.attr
    elif isinstance(call.func, ast.Name):
        name = call.func.id
    else:
        name = ""
    return name in _SERVERS
