"""Builds the integrations of a home from its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from codewords_mcp.runtime.auth.one_time_links import Links
from codewords_mcp.runtime.egress import Egress
from codewords_mcp.runtime.integrations.mcp.package_environments import PackageEnvironments
from codewords_mcp.runtime.integrations.mcp.packages import PackageServers
from codewords_mcp.runtime.integrations.mcp.processes import ServerProcesses
from codewords_mcp.runtime.integrations.mcp.servers import McpServers
from codewords_mcp.runtime.integrations.mcp.sign_in import SignIns
from codewords_mcp.runtime.integrations.native import NativeActions, base_urls_of
from codewords_mcp.runtime.integrations.pipedream import PipedreamConnect
from codewords_mcp.runtime.integrations.pipedream_client import PipedreamClient
from codewords_mcp.runtime.integrations.pipedream_events import PipedreamEvents
from codewords_mcp.runtime.integrations.service import Integrations
from codewords_mcp.runtime.sandboxes.base import Driver
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.settings import Settings


def build_integrations(
    settings: Settings,
    database: Database,
    web: Web,
    secrets: SecretService,
    files: FileStore,
    sealer: Sealer,
    links: Links,
    environments: Environments,
    driver: Callable[[], Awaitable[Driver]],
    egress: Egress,
    *,
    base_url: Callable[[], str],
    address_for_others: Callable[[], str],
    on_state: Callable[[str, str, bool], object],
) -> Integrations:
    """Build them. `on_state` is that of `Integrations`; the two addresses are the runtime's own."""
    sign_ins = SignIns(web, database, sealer, base_url)
    packages = PackageServers(
        PackageEnvironments(settings.home, environments), ServerProcesses(settings, driver, egress), secrets
    )
    client = PipedreamClient(web, secrets, settings.pipedream_base_url)
    return Integrations(
        PipedreamConnect(client),
        PipedreamEvents(client),
        NativeActions(web, secrets, base_urls_of(settings)),
        McpServers(web, secrets, database, files, sign_ins, address_for_others, packages, settings),
        database,
        links,
        base_url=base_url,
        user_prefix=settings.pipedream_user,
        on_state=on_state,
    )
