"""What the tools, resources and prompts of the MCP door share: who asks, long work, errors, text from outside."""
