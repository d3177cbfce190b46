"""What runs in a rented machine: it starts programs by the local driver there, and is told what to do over a WebSocket.

`python -m codewords_mcp.agent --home FOLDER` is the start command of the template that `codewords e2b build-template` makes.
"""
