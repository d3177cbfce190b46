"""Integrations: apps of other providers, found, connected and used.

`base.py` is the protocol of a broker, `service.py` the interface for the rest of the runtime.
`pipedream.py` speaks Pipedream Connect; `native.py` needs no broker.
"""
