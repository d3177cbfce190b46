"""A person's own Chrome: the extension in it connects to the runtime, and what is asked of the browser goes along there.

`line.py` is the connection, `book.py` who is paired and connected, `driver.py` the browser protocol over it, `words.py` what the
extension's reasons mean. The extension itself is in `codewords_mcp/extension/`.
"""
