"""MCP servers as integrations: connected by their address or package, their tools found, agreed to and called.

`servers.py` is the interface for `service.py`. `session.py` alone speaks the protocol, by the
client of the package `mcp`, over the judged transport of `transport.py`, or that of a process in a sandbox
(`processes.py`). A server's words are data.
"""
