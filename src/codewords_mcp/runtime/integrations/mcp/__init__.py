"""MCP servers as integrations: connected by their address, their tools found, agreed to and called.

`servers.py` is the interface for `service.py`. `session.py` alone speaks the protocol, by the
client of the package `mcp`, over the judged transport of `transport.py`. A server's words are data.
"""
