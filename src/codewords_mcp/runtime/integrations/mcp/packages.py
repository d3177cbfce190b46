"""Servers that come as packages, as an owner has them: their manifest, their secrets, and what is installed."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from codewords_mcp.errors import UpstreamTimedOut
from codewords_mcp.runtime.integrations.mcp.addresses import free_name
from codewords_mcp.runtime.integrations.mcp.package_environments import PackageEnvironments
from codewords_mcp.runtime.integrations.mcp.package_names import (
    ServerPackage,
    check_arguments,
    check_hosts,
    check_variables,
    package_name,
    parse_package,
)
from codewords_mcp.runtime.integrations.mcp.processes import PreparedServer, ServerProcesses
from codewords_mcp.runtime.model.mcp import LaunchChoice, McpServer, ServerLaunch
from codewords_mcp.runtime.secrets.service import SecretService

INSTALL_WAIT_S: Final = 25.0
"""Seconds that a caller waits for a package to be installed; it goes on meanwhile."""


class PackageServers:
    """Packages of all owners. For one event loop; `close` it."""

    def __init__(
        self, environments: PackageEnvironments, processes: ServerProcesses, secrets: SecretService
    ) -> None:
        self._environments = environments
        self.processes = processes
        self._secrets = secrets

    async def close(self) -> None:
        """End processes, and give up what is being installed."""
        await self.processes.close()
        await self._environments.close()

    def server(self, text: str, name: str, existing: Container[str], choice: LaunchChoice) -> McpServer:
        """A server of the package that a person named. Raises InvalidInput."""
        package = parse_package(text)
        return McpServer(
            name=name or free_name(package_name(package), existing),
            url=package.url,
            transport="stdio",
            launch=self.chosen(ServerLaunch(), choice, package.version),
        )

    def chosen(self, before: ServerLaunch, choice: LaunchChoice, version: str = "") -> ServerLaunch:
        """A launch with what a person chose of it. Raises InvalidInput."""
        return ServerLaunch(
            version=version or before.version,
            arguments=before.arguments if choice.arguments is None else check_arguments(choice.arguments),
            hosts=before.hosts if choice.hosts is None else check_hosts(choice.hosts),
            variables=before.variables if choice.variables is None else check_variables(choice.variables),
        )

    async def missing_secret(self, owner: str, launch: ServerLaunch) -> str:
        """The first secret that a server is to get and that is not set; "" for none."""
        found = await self._secrets.open(owner, list(launch.variables))
        return next((name for name in launch.variables if name not in found), "")

    async def prepare(
        self, owner: str, server: McpServer, launch: ServerLaunch, seconds: float = INSTALL_WAIT_S
    ) -> PreparedServer:
        """Install a server's package, or find it installed.

        Raises UpstreamTimedOut while that goes on after `seconds`, SandboxUnavailable, EnvironmentFailed.
        """
        # First: a package that no sandbox of this machine can hold need not be installed.
        await self.processes.require_isolation()
        package = parse_package(server.url)
        requested = ServerPackage(package.registry, package.name, launch.version)
        built = await self._environments.ensure(requested, seconds)
        if built is None:
            raise UpstreamTimedOut(
                f"{package.url} is still being installed.",
                hint="Look again in a moment: it goes on meanwhile.",
            )

        secrets = await self._secrets.open(owner, list(launch.variables))
        return PreparedServer(
            owner,
            server.app,
            built,
            launch.model_copy(update={"version": built.package.version}),
            tuple((name, secrets[name]) for name in launch.variables if name in secrets),
        )
