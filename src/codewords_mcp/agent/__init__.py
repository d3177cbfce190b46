"""The agent in a rented machine: starts programs by the local driver, controlled over a WebSocket.

`python -m codewords_mcp.agent --home FOLDER` is the start command of the template that `codewords e2b build-template` makes.
"""
