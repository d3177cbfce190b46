"""CodeWords workflows as an MCP server with an embedded runtime. Imports nothing: the stdio proxy starts in milliseconds."""

__version__ = "0.1.0"
