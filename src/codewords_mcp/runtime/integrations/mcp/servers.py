"""MCP servers of owners: connected, read, agreed to, and their tools called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.mcp.addresses import (
    proposed_name,
    server_address,
    server_name,
)
from codewords_mcp.runtime.integrations.mcp.content import AnswerReader
from codewords_mcp.runtime.integrations.mcp.index import ToolIndexes
from codewords_mcp.runtime.integrations.mcp.methods import tool_request
from codewords_mcp.runtime.integrations.mcp.package_environments import INSTALL_TIMEOUT_S
from codewords_mcp.runtime.integrations.mcp.package_names import is_package
from codewords_mcp.runtime.integrations.mcp.packages import PackageServers
from codewords_mcp.runtime.integrations.mcp.registry import search_registry
from codewords_mcp.runtime.integrations.mcp.server_access import ServerAccess
from codewords_mcp.runtime.integrations.mcp.session import ServerSessions
from codewords_mcp.runtime.integrations.mcp.sign_in import SignIns
from codewords_mcp.runtime.model.integration import ActionOutcome
from codewords_mcp.runtime.model.mcp import (
    AgreedTool,
    LaunchChoice,
    McpServer,
    RegistryServer,
    ServerReview,
    ServerTool,
    action_of,
    required_fields,
    server_of,
    tool_differences,
)
from codewords_mcp.runtime.model.questions import digest_of
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.consent_entries import ConsentEntry, current_way
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

FRESH_S = 60.0
"""Seconds for which a list of tools counts as what the server says now."""


class McpServers:
    """The servers of all owners. For one event loop; `close` it.

    `address` begins the links of files. Every method that asks a server raises AddressRefused,
    UpstreamFailed, UpstreamTimedOut, and AppNotConnected where it wants to know who asks.
    """

    def __init__(
        self,
        web: Web,
        secrets: SecretService,
        database: Database,
        files: FileStore,
        sign_ins: SignIns,
        address: Callable[[], str],
        packages: PackageServers,
        settings: Settings,
    ) -> None:
        self._registry_url = settings.mcp_registry_url
        self._web = web
        self._database = database
        self._reader = AnswerReader(files, address)
        self.sign_ins = sign_ins
        self.packages = packages
        self.sessions = ServerSessions(web, packages.processes, idle_timeout_s=settings.mcp_idle_timeout)
        self.access = ServerAccess(database, secrets, sign_ins, packages, self.sessions)
        self.indexes = ToolIndexes(database)

    async def close(self) -> None:
        """End every session."""
        await self.sessions.close()
        await self.packages.close()

    async def search_registry(self, query: str, limit: int) -> list[RegistryServer]:
        """Find servers in the registry. Raises InvalidInput."""
        return await search_registry(self._web, self._registry_url, query, limit)

    async def register(
        self, owner: str, url: str, name: str = "", choice: LaunchChoice | None = None
    ) -> McpServer:
        """Return the owner's server at an address, or of a package; a new one is nobody's to use before a person agrees.

        `choice` is how a person lets a package's server run; None, where nobody was there to choose, leaves a server as
        it is. Raises InvalidInput, AddressRefused; UpstreamFailed for a host that does not exist.
        """
        names = {server.name for server in await self.all(owner)}
        chosen = server_name(name) if name else ""
        if is_package(url):
            server = self.packages.server(url, chosen, names, choice or LaunchChoice())
        else:
            address = server_address(url)
            await self._web.check(address)
            server = McpServer(name=chosen or proposed_name(address, names), url=address)

        # A package may run several times, each with arguments of its own.
        known = await self._database.read(rows.of_url, owner, server.url, chosen if server.launch else "")
        if known is None and not await self._database.write(rows.add, owner, server, now()):
            raise InvalidInput(
                f"There is another server of the name {server.name}, or there are {rows.MAX_SERVERS} of them.",
                hint="Choose another name, or disconnect one.",
            )
        found = await self.require(owner, known or server.name)
        if known is None or choice is None:
            return found
        return await self.choose_launch(owner, found, choice, server.launch.version if server.launch else "")

    async def choose_launch(
        self, owner: str, server: McpServer, choice: LaunchChoice, version: str = ""
    ) -> McpServer:
        """Change how a package's server is started, as a person chose. They have to agree to it anew where that differs.

        Raises InvalidInput.
        """
        if server.launch is None:
            return server
        launch = self.packages.chosen(server.launch, choice, version)
        if launch == server.launch:
            return server
        values = {"launch": launch.model_dump(mode="json"), "agreed_at": None, "read_at": 0, "problem": ""}
        await self._database.write(rows.change, owner, server.name, values)
        # After the write: a session that is opened from now on has the new launch.
        self.sessions.forget(owner, server.url)
        self.packages.processes.forget(owner, server.app)
        return await self.require(owner, server.name)

    async def install(self, owner: str, server: McpServer) -> None:
        """Wait until a package's server is installed, or cannot be, which reading its tools says then."""
        if server.launch is not None:
            with suppress(CodewordsError):
                await self.packages.prepare(owner, server, server.launch, INSTALL_TIMEOUT_S)

    async def all(self, owner: str) -> list[McpServer]:
        """The owner's servers, those too that nobody agreed to yet."""
        return await self._database.read(rows.all_of, owner)

    async def find(self, owner: str, app: str) -> McpServer | None:
        """The owner's server of this app; None if there is none."""
        name = server_of(app)
        if name is None:
            return None
        found = await self._database.read(rows.get, owner, name)
        if found is None:
            return None
        return found[0]

    async def require(self, owner: str, name: str) -> McpServer:
        """As `find`, by the server's own name. Raises NotFound."""
        found = await self._database.read(rows.get, owner, name)
        if found is None:
            raise NotFound(
                "There is no MCP server of this name.", remedy=Remedy(RemedyAction.LIST_CONNECTIONS)
            )
        return found[0]

    async def disconnect(self, owner: str, name: str) -> None:
        """Forget a server, what was agreed to, and how one signs in there. Raises NotFound."""
        server = await self.require(owner, name)
        await self._database.write(rows.remove, owner, name)
        self.sessions.forget(owner, server.url)
        self.packages.processes.forget(owner, server.app)

    async def review(self, owner: str, name: str, *, read: bool = True) -> ServerReview:
        """Return the facts for a person's decision. The tools are read now, unless `read` is false.

        Raises NotFound. A server that cannot be read has the reason as its `problem`.
        """
        server = await self.require(owner, name)
        if read:
            server = await self.read(owner, server)
        last_words = refused_host = ""
        if server.launch is not None:
            processes = self.packages.processes
            if server.problem:
                last_words = processes.last_words(owner, server.app)
            refused_host = processes.refused_host(owner, server.app)
        tools = await self._database.read(rows.tools, server, owner)
        changes = [
            (tool.now.name, tuple(tool_differences(tool.agreed, tool.now)))
            for tool in tools
            if tool.now is not None and server.agreed and not tool.is_agreed
        ]
        return ServerReview(server, tuple(tools), tuple(changes), last_words, refused_host)

    async def agree(
        self,
        owner: str,
        name: str,
        digests: list[tuple[str, str]],
        *,
        believed: bool | None,
        about: Literal["server", "tool"] = "server",
    ) -> McpServer:
        """Note that a person agreed to a server and to these tools of it. Raises NotFound.

        `believed`: they take its word for which tools only read; None leaves that as it was.
        `about` is what they were asked about.
        """
        values: dict[str, Any] = {"agreed_at": now()}
        if believed is not None:
            values["believed"] = believed
        facts = {"about": about, "permissions": digest_of(sorted(digests)), "way": current_way()}
        entry = ConsentEntry("agreed", owner, f"mcp:{name}", facts)

        def store(connection: Connection) -> None:
            rows.agree(connection, owner, name, digests, values)
            entry.note(connection)

        await self._database.write(store)
        return await self.require(owner, name)

    async def agree_to_tool(self, owner: str, tool: AgreedTool) -> None:
        """Note that a person agreed to a tool as it is described now, by agreeing to a call of it."""
        if tool.now is not None and not tool.is_agreed:
            digests = [(tool.now.name, tool.now.digest)]
            await self.agree(owner, tool.server.name, digests, believed=None, about="tool")

    async def signed_in(self, owner: str, name: str) -> None:
        """Use the tokens of a sign-in that was completed just now."""
        server = await self.require(owner, name)
        self.sessions.forget(owner, server.url)
        await self._database.write(rows.change, owner, name, {"auth": "sign_in", "problem": ""})
        await self.read(owner, await self.require(owner, name))

    async def read(self, owner: str, server: McpServer) -> McpServer:
        """Read a server's tools and store them. Its problem, if it has one, is stored and returned."""
        try:
            tools, title, transport = await self.access.list_tools(owner, server)
        except AppNotConnected:
            # What it wants is noted already.
            return await self.require(owner, server.name)
        except CodewordsError as error:
            # Of a process the page shows the end of its standard error, to which the hint leads.
            ended = self.packages.processes.last_words(owner, server.app)
            shown = error.message if ended else str(error)
            return await self.access.note(owner, server, shown)

        values = {"title": title, "transport": transport, "problem": "", "read_at": now()}
        await self._database.write(rows.replace_tools, owner, server.name, tools, values)
        return await self.require(owner, server.name)

    async def tool(self, owner: str, app: str, action: str) -> AgreedTool:
        """The tool of this key, or of its part after the server, as its server describes it now.

        Raises NotFound, AppNotConnected for a server that nobody agreed to.
        """
        name = server_of(app) or app
        tool_name = action.strip().removeprefix(f"{app}/")
        found = await self._database.read(rows.tool, owner, name, tool_name)
        if found is None:
            raise NotFound(
                "There is no MCP server of this name.", remedy=Remedy(RemedyAction.LIST_CONNECTIONS)
            )
        if not found.server.agreed:
            raise self.access.not_connected(found.server, "missing")

        fresh = now() - found.read_at <= FRESH_S * 1e6
        if not fresh or found.tool is None:
            await self.read(owner, found.server)
            found = await self._database.read(rows.tool, owner, name, tool_name)
        if found is None or found.tool is None:
            raise await self.no_tool(owner, await self.require(owner, name), tool_name)
        return found.tool

    async def no_tool(self, owner: str, server: McpServer, tool_name: str) -> NotFound:
        """The error that names the closest tools."""
        from codewords_mcp.runtime.model.integration_names import nearest

        tools = await self._database.read(rows.tools, server, owner)
        names = [tool.now.name for tool in tools if tool.now is not None]
        closest = nearest(tool_name.lower(), names)
        return NotFound(
            f"{server.app} has no tool of this name, so nothing was called.",
            hint=f"The closest are: {', '.join(closest)}." if closest else "It has no tools.",
        )

    async def call(
        self,
        owner: str,
        tool: AgreedTool,
        arguments: dict[str, Any],
        seconds: float,
        maker: str | None = None,
    ) -> ActionOutcome:
        """Call a tool, once. `maker` is the workflow whose run calls, which owns the answer's files.

        Raises InvalidInput naming missing fields, IntegrationFailed if the tool failed.
        """
        described = tool.now or ServerTool(name="")
        self.require_complete(tool, arguments)
        ask = tool_request(described.name, arguments)
        result = await self.access.ask(owner, tool.server, ask, seconds)
        answer = await self._reader.read(owner, result, maker)
        action = action_of(tool)
        if answer.failed:
            raise IntegrationFailed(
                f"{action.key} failed.",
                upstream_status=200,
                upstream_said=answer.text[:2_000],
                hint=self._failure_hint(owner, tool.server),
            )
        exports: dict[str, Any] = {"links": answer.links} if answer.links else {}
        if answer.data is not None and answer.text:
            exports["text"] = answer.text
        return ActionOutcome(
            action=action.key,
            backend="mcp",
            account=tool.server.url,
            ret=answer.value,
            exports=exports,
            files=tuple(answer.files),
        )

    def _failure_hint(self, owner: str, server: McpServer) -> str:
        refused = ""
        if server.launch is not None and (host := self.packages.processes.refused_host(owner, server.app)):
            refused = f" It tried to reach {host}, which a person did not allow it."
        return (
            "The tool's message is in `upstream_said`. Check before you call it again: a part may have been done."
            + refused
        )

    def require_complete(self, tool: AgreedTool, arguments: dict[str, Any]) -> None:
        """Raise InvalidInput for missing fields of a tool."""
        described = tool.now or ServerTool(name="")
        missing = [name for name in required_fields(described) if name not in arguments]
        if missing:
            names = ", ".join(f"`{prop.name}`" for prop in action_of(tool).props if prop.name in missing)
            raise InvalidInput(
                f"{tool.server.app}/{described.name} needs {names or 'more fields'} too.",
                hint="get_integration shows its fields.",
            )

    async def require_ready(self, owner: str, tool: AgreedTool, arguments: dict[str, Any]) -> None:
        """Raise what `call` would raise before it asks the server."""
        self.require_complete(tool, arguments)
        tool_request(tool.now.name if tool.now else "", arguments)
        await self.access.address(owner, tool.server)
