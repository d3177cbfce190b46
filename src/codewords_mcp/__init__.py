"""CodeWords workflows as an MCP server with an embedded runtime. Imports nothing: the front starts in milliseconds."""

__version__ = "0.1.0"
