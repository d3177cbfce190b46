"""Packages of servers as people name them, `pypi:mcp-server-fetch` or `npm:@scope/server@1.2.3`, and their manifests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.mcp import ANY_HOST
from codewords_mcp.runtime.secrets.names import check_name

PackageRegistry = Literal["pypi", "npm"]
MAX_ARGUMENTS: Final = 50
MAX_ARGUMENT: Final = 2_000
MAX_HOSTS: Final = 100
MAX_VARIABLES: Final = 30
LATEST: Final = "latest"
_PYPI: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?", re.ASCII)
_NPM: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]{0,98}/)?[a-z0-9~-][a-z0-9._~-]{0,98}", re.ASCII)
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,60}", re.ASCII)
_GENERIC: Final = frozenset({"mcp", "server", "servers", "modelcontextprotocol"})


@dataclass(frozen=True, slots=True)
class ServerPackage:
    """A package of a registry. `version` is empty for one that nobody named."""

    registry: PackageRegistry
    name: str
    version: str = ""

    @property
    def url(self) -> str:
        """Its address among servers, without the version."""
        return f"{self.registry}:{self.name}"

    @property
    def page(self) -> str:
        """The page of its registry that describes it."""
        if self.registry == "pypi":
            return f"https://pypi.org/project/{self.name}/"
        return f"https://www.npmjs.com/package/{self.name}"


def is_package(text: str) -> bool:
    """Whether a text is meant as a package, not as an app's name."""
    return text.strip().lower().startswith(tuple(f"{registry}:" for registry in get_args(PackageRegistry)))


def parse_package(text: str) -> ServerPackage:
    """Read a package as a person writes it. Raises InvalidInput, which never repeats the text."""
    registry, _, rest = text.strip().partition(":")
    registry = registry.lower()
    # The first character may be the @ of an npm scope.
    name, mark, version = rest[1:].partition("@")
    name = rest[:1] + name
    if registry == "pypi":
        # As pip compares names.
        name = re.sub(r"[-_.]+", "-", name.lower())
        fits = _PYPI.fullmatch(name)
    else:
        fits = _NPM.fullmatch(name)
    # Only a name and a version: an address, a path or a range would be another way to bring code in.
    if not fits or (mark and not _VERSION.fullmatch(version)):
        raise InvalidInput(
            "That is no package of an MCP server.",
            hint="Give the registry, the name and a version if it matters, as in pypi:mcp-server-fetch or "
            "npm:@modelcontextprotocol/server-everything@2026.8.31.",
        )
    return ServerPackage("pypi" if registry == "pypi" else "npm", name, version)


def package_name(package: ServerPackage) -> str:
    """A short name for the server of a package: `fetch` for mcp-server-fetch."""
    scope, _, bare = package.name.rpartition("/")
    words = [word for word in re.split(r"[^a-z0-9]+", bare) if word]
    telling = [word for word in words if word not in _GENERIC]
    if not telling:
        telling = [word for word in re.split(r"[^a-z0-9]+", scope) if word and word not in _GENERIC]
    return "_".join(telling or ["server"])


def check_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Arguments for a server's command. Raises InvalidInput."""
    if len(arguments) > MAX_ARGUMENTS or any(
        len(argument) > MAX_ARGUMENT or "\0" in argument for argument in arguments
    ):
        raise InvalidInput(f"A server takes at most {MAX_ARGUMENTS} arguments of {MAX_ARGUMENT} characters.")
    return tuple(arguments)


def check_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Hosts that a server may reach, in their normal form. Raises InvalidInput."""
    if len(hosts) > MAX_HOSTS:
        raise InvalidInput(
            f"A server reaches at most {MAX_HOSTS} listed hosts.", hint="`*` stands for all public ones."
        )
    if ANY_HOST in hosts:
        return (ANY_HOST,)
    return tuple(sorted(EgressPolicy(hosts=frozenset(hosts)).hosts or ()))


def check_variables(variables: Sequence[str]) -> tuple[str, ...]:
    """Names of secrets that a server gets in its environment. Raises InvalidInput."""
    if len(variables) > MAX_VARIABLES:
        raise InvalidInput(f"A server gets at most {MAX_VARIABLES} variables.")
    return tuple(dict.fromkeys(check_name(name) for name in variables))
