"""MCP servers of owners and their tools: as the servers describe them now, and as they were agreed to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from codewords_mcp.runtime.model.mcp import AgreedTool, McpServer, ServerLaunch, ServerTool
from codewords_mcp.runtime.store.tables import mcp_servers, mcp_tools

MAX_SERVERS = 300
"""Servers of one owner."""


def _server(owner: str, name: str) -> ColumnElement[bool]:
    return (mcp_servers.c.owner == owner) & (mcp_servers.c.name == name)


def _tools(owner: str, server: str) -> ColumnElement[bool]:
    return (mcp_tools.c.owner == owner) & (mcp_tools.c.server == server)


def get(connection: Connection, owner: str, name: str) -> tuple[McpServer, int] | None:
    """(the server, when its tools were read)."""
    row = connection.execute(select(mcp_servers).where(_server(owner, name))).mappings().first()
    if row is None:
        return None
    return _to_server(row, _count(connection, owner, name)), row["read_at"]


def of_url(connection: Connection, owner: str, url: str, name: str = "") -> str | None:
    """Name of the owner's server at an address: the one of this `name`, else the first."""
    query = select(mcp_servers.c.name).where(mcp_servers.c.owner == owner, mcp_servers.c.url == url)
    if name:
        query = query.where(mcp_servers.c.name == name)
    return connection.execute(query.order_by(mcp_servers.c.name)).scalar()


def all_of(connection: Connection, owner: str) -> list[McpServer]:
    """The owner's servers, by name."""
    counts = select(mcp_tools.c.server, func.count()).where(
        mcp_tools.c.owner == owner, mcp_tools.c.data.is_not(None)
    )
    tools: dict[str, int] = {
        row[0]: row[1] for row in connection.execute(counts.group_by(mcp_tools.c.server))
    }
    query = select(mcp_servers).where(mcp_servers.c.owner == owner).order_by(mcp_servers.c.name)
    return [_to_server(row, tools.get(row["name"], 0)) for row in connection.execute(query).mappings()]


def version(connection: Connection, owner: str) -> tuple[int, int, int]:
    """A value that is another one after any change of the owner's servers or tools."""
    query = select(
        func.count(),
        func.coalesce(func.sum(mcp_servers.c.read_at), 0),
        func.coalesce(func.sum(mcp_servers.c.agreed_at), 0),
    ).where(mcp_servers.c.owner == owner)
    count, read, agreed = connection.execute(query).one()
    return int(count), int(read), int(agreed)


def add(connection: Connection, owner: str, server: McpServer, at: int) -> bool:
    """Add a server that nobody agreed to yet; False where the owner has too many, or one of this name."""
    count = connection.execute(
        select(func.count()).select_from(mcp_servers).where(mcp_servers.c.owner == owner)
    ).scalar_one()
    existing = connection.execute(select(mcp_servers.c.name).where(_server(owner, server.name))).first()
    if count >= MAX_SERVERS or existing is not None:
        return False
    row = {
        "owner": owner,
        "name": server.name,
        "url": server.url,
        "title": server.title,
        "transport": server.transport,
        "auth": server.auth,
        "believed": False,
        "problem": "",
        "created_at": at,
        "read_at": 0,
        "launch": None if server.launch is None else server.launch.model_dump(mode="json"),
    }
    connection.execute(insert(mcp_servers).values(row))
    return True


def change(connection: Connection, owner: str, name: str, values: dict[str, Any]) -> None:
    """Change columns of a server."""
    connection.execute(update(mcp_servers).where(_server(owner, name)).values(values))


def remove(connection: Connection, owner: str, name: str) -> bool:
    """Remove a server with its tools; False if there is none."""
    connection.execute(delete(mcp_tools).where(_tools(owner, name)))
    return connection.execute(delete(mcp_servers).where(_server(owner, name))).rowcount == 1


def sealed_sign_in(connection: Connection, owner: str, name: str) -> bytes | None:
    """The sealed tokens and registration of a server."""
    return connection.execute(select(mcp_servers.c.sign_in).where(_server(owner, name))).scalar()


def replace_tools(
    connection: Connection, owner: str, name: str, tools: Sequence[ServerTool], values: dict[str, Any]
) -> None:
    """Store what a server lists now. Agreements stay, also to tools that are gone. `values` are of the server."""
    # The server's row comes first, so that two readings at once follow each other.
    changed = connection.execute(update(mcp_servers).where(_server(owner, name)).values(values))
    if changed.rowcount != 1:
        return
    agreed = {
        row.name: row.agreed
        for row in connection.execute(select(mcp_tools.c.name, mcp_tools.c.agreed).where(_tools(owner, name)))
        if row.agreed is not None
    }
    connection.execute(delete(mcp_tools).where(_tools(owner, name)))
    rows = [
        {
            "owner": owner,
            "server": name,
            "name": tool.name,
            "position": position,
            "data": tool.model_dump(mode="json"),
            "agreed": agreed.pop(tool.name, None),
        }
        for position, tool in enumerate(tools)
    ]
    position_of_gone = len(rows)
    rows += [
        {
            "owner": owner,
            "server": name,
            "name": key,
            "position": position_of_gone,
            "data": None,
            "agreed": value,
        }
        for key, value in agreed.items()
    ]
    if rows:
        connection.execute(insert(mcp_tools), rows)


def agree(
    connection: Connection,
    owner: str,
    name: str,
    digests: Collection[tuple[str, str]],
    values: dict[str, Any],
) -> None:
    """Note that a person agreed to these tools, (name, digest) each, as they are described now."""
    change(connection, owner, name, values)
    seen_digests = dict(digests)
    query = select(mcp_tools.c.name, mcp_tools.c.data).where(_tools(owner, name))
    for row in connection.execute(query).all():
        # A tool that changed while the person read is not the one that they agreed to.
        if row.data is not None and seen_digests.get(row.name) == row.data["digest"]:
            one = _tools(owner, name) & (mcp_tools.c.name == row.name)
            connection.execute(update(mcp_tools).where(one).values(agreed=row.data))


class FoundTool(NamedTuple):
    """A tool by its name; `tool` is None where the server has none. `read_at`: when its tools were read."""

    server: McpServer
    read_at: int
    tool: AgreedTool | None


def tool(connection: Connection, owner: str, name: str, tool_name: str) -> FoundTool | None:
    """A tool of a server, in whatever case its name is written; None without the server."""
    # In one statement: it precedes every call of a tool.
    joined = mcp_servers.outerjoin(
        mcp_tools,
        (mcp_tools.c.owner == mcp_servers.c.owner)
        & (mcp_tools.c.server == mcp_servers.c.name)
        & (mcp_tools.c.name == tool_name),
    )
    columns = (*mcp_servers.c, mcp_tools.c.data, mcp_tools.c.agreed)
    query = select(*columns).select_from(joined).where(_server(owner, name))
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    server = _to_server(row, 0)
    if row["data"] is not None:
        return FoundTool(server, row["read_at"], _to_tool(server, row))

    # Names that differ in their case only are told apart by it.
    listed = _tools(owner, name) & mcp_tools.c.data.is_not(None)
    query = select(mcp_tools).where(listed, func.lower(mcp_tools.c.name) == tool_name.lower())
    others = list(connection.execute(query).mappings())
    return FoundTool(server, row["read_at"], _to_tool(server, others[0]) if len(others) == 1 else None)


def tools(connection: Connection, server: McpServer, owner: str) -> list[AgreedTool]:
    """The tools of a server, in its order."""
    query = select(mcp_tools).where(_tools(owner, server.name), mcp_tools.c.data.is_not(None))
    ordered = query.order_by(mcp_tools.c.position, mcp_tools.c.name)
    return [_to_tool(server, row) for row in connection.execute(ordered).mappings()]


def _count(connection: Connection, owner: str, name: str) -> int:
    query = select(func.count()).select_from(mcp_tools)
    return connection.execute(query.where(_tools(owner, name), mcp_tools.c.data.is_not(None))).scalar_one()


def _to_server(row: RowMapping, tools_count: int) -> McpServer:
    return McpServer(
        name=row["name"],
        url=row["url"],
        title=row["title"],
        transport=row["transport"],
        launch=None if row["launch"] is None else ServerLaunch.model_validate(row["launch"]),
        auth=row["auth"],
        tokens_digest="" if row["sign_in"] is None else hashlib.sha256(row["sign_in"]).hexdigest(),
        agreed=row["agreed_at"] is not None,
        believed=bool(row["believed"]),
        problem=row["problem"],
        tools=tools_count,
    )


def _to_tool(server: McpServer, row: RowMapping) -> AgreedTool:
    agreed = row["agreed"]
    return AgreedTool(
        server=server,
        now=ServerTool.model_validate(row["data"]),
        agreed=None if agreed is None else ServerTool.model_validate(agreed),
    )
