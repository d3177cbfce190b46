"""The way to model providers: official SDKs call it with a CodeWords key, it calls the provider with the provider's.

`gateway.py` carries one exchange; what it needs is beside it: `providers.py` knows their routes, `keys.py` their keys,
`headers.py` what crosses, `upstream.py` the wire. It knows no web framework: the ASGI side is `http/gateway.py`.
"""
