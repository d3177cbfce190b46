"""Integrations: apps of others, found, connected and used. `base.py` is the protocol that a back end keeps,
`book.py` what the rest of the runtime asks; `connect.py` speaks Pipedream Connect, `native/` needs no broker.
"""
