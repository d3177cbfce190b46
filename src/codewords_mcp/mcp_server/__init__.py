"""The MCP server, and what its tools, resources and prompts share: callers, long work, errors, text from outside."""
