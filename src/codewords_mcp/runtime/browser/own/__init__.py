"""A person's own Chrome: the extension in it connects to the runtime, and requests to the browser go over that connection.

`connection.py` is the connection, `pairing.py` who is paired and connected, `driver.py` the browser protocol over it,
`error_texts.py` the sentences for the extension's reasons. The extension itself is in `codewords_mcp/extension/`.
"""
