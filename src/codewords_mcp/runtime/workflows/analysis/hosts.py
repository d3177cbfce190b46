"""From the text of an address to the host that it names, as far as the text is known."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from codewords_mcp.runtime.workflows.analysis.values import Hole, Text, text

RUNTIME = ("CODEWORDS_RUNTIME_URI", "RUNTIME_URI")
_RUNTIME_HERE = re.compile(r"https?://(?:127\.0\.0\.1|localhost):8765(?=[/?#]|\Z)")
"""The runtime's address as a program in a sandbox writes it."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOLES = re.compile("[\ue000-\uf8ff]")
_CONNINFO = re.compile(r"(?:\A|\s)host(?:addr)?\s*=\s*'?([^\s']+)")
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_COMPLETE = re.compile(r".*[a-z0-9]\.[a-z]{2,}\Z")
_WITHOUT_HOST = frozenset(
    {"file", "data", "sqlite", "sqlite+aiosqlite", "duckdb", "unix", "mailto", "memory", "inmemory"}
)


@dataclass(slots=True)
class HostUses:
    """Destinations of addresses. `open`: one of them is only known at run time. `runtime`: paths
    requested from the runtime.
    """

    hosts: set[str] = field(default_factory=set[str])
    variables: set[str] = field(default_factory=set[str])
    runtime: list[Text] = field(default_factory=list[Text])
    open: bool = False
    relative: bool = False
    """Some had no host: what they are relative to decides."""


def normal(host: str) -> str | None:
    """A host in its canonical spelling, in ASCII. None for an invalid host and for the sandbox
    itself.
    """
    bare = host.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        pass
    else:
        # These mean the sandbox itself, which needs no permission.
        if address.is_loopback or address.is_unspecified:
            return None
        return str(address)

    name = bare.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return None

    if name == "localhost" or name.endswith(".localhost") or _NAME.fullmatch(name) is None:
        return None

    return name


def named_in(value: str) -> set[str]:
    """The hosts that the value of a variable names: a URL, a DSN, or a host with or without a port."""
    if value.strip():
        return host_uses([text(value)], host_form=True).hosts
    return set()


def host_uses(addresses: Iterable[Text], *, host_form: bool, files: bool = False) -> HostUses:
    """Destinations of addresses. `host_form`: an address without a scheme is a host; `files`: it is
    a path or text.
    """
    uses = HostUses()
    for address in addresses:
        _add_uses(address, uses, host_form=host_form, files=files)
    return uses


def _add_uses(address: Text, uses: HostUses, *, host_form: bool, files: bool) -> None:
    holes: list[Hole] = []
    marked = ""
    for part in address.parts:
        if isinstance(part, Hole):
            # A character of the private use area for each hole keeps the regular expressions
            # simple. The text's own characters of that area are replaced, so they can't pass
            # for holes.
            marked += chr(0xE000 + min(len(holes), 0x18FF))
            holes.append(part)
        else:
            marked += _HOLES.sub("?", part)

    # The runtime's address goes to the internal listener, never through the egress proxy.
    if holes and isinstance(address.parts[0], Hole) and address.parts[0].env in RUNTIME:
        uses.runtime.append(text(*address.parts[1:]))
        return
    if here := _RUNTIME_HERE.match(marked):
        uses.runtime.append(text(*_after(address, here.end())))
        return

    scheme = _SCHEME.match(marked.lstrip())
    if scheme:
        if scheme[1].lower() not in _WITHOUT_HOST:
            rest = marked.lstrip()[scheme.end() :]
            # A backslash ends the authority too: browsers and some clients treat it as a slash.
            _authority(re.split(r"[/?#\\]", rest, maxsplit=1)[0], holes, uses)
    elif conninfo := _CONNINFO.search(marked) if host_form else None:
        _host(conninfo[1], holes, uses)
    elif host_form and not marked.startswith(("/", "@")):
        _authority(marked.split("/", 1)[0], holes, uses)
    elif not marked or not _HOLES.match(marked[0]):
        uses.relative = True
    elif not files or holes[0].env:
        _host(marked[0], holes, uses)
    elif len(marked) == 1:
        uses.open = True


def _after(address: Text, count: int) -> list[str | Hole]:
    first = address.parts[0]
    return [first[count:] if isinstance(first, str) else first, *address.parts[1:]]


def _authority(authority: str, holes: list[Hole], uses: HostUses) -> None:
    for listed in authority.split(","):  # some databases list several
        # The last @, as URL parsers do it: otherwise `trusted.com@evil.com` would be read
        # wrong.
        host = listed.rpartition("@")[2]
        bracketed = host.startswith("[") and "]" in host
        if bracketed:
            host = host.partition("]")[0] + "]"
        elif host.count(":") < 2:  # with more it is an address of IPv6, which stands alone where no URL is
            host = host.partition(":")[0]
        _host(host, holes, uses)


def _host(host: str, holes: list[Hole], uses: HostUses) -> None:
    found = list(_HOLES.finditer(host))
    if not found:
        if name := normal(host):
            uses.hosts.add(name)
        return

    hole = holes[ord(found[-1][0]) - 0xE000]
    if len(host) == 1:
        if hole.env:
            uses.variables.add(hole.env)
        else:
            uses.open = True

        return

    start, rest = host[: found[0].start()].lower(), host[found[-1].end() :]
    below = rest.partition(".")[2]
    # A hole in the first label only: `f"{shop}.myshopify.com"`. One dot more is required, since
    # `*.com` would be any host.
    if "." in below and (name := normal(below)):
        uses.hosts.add(f"*.{name}")
    elif not rest and _COMPLETE.fullmatch(start) and (name := normal(start)):
        uses.hosts.add(name)  # the path comes from elsewhere
    else:
        uses.open = True
