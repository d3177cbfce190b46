"""Gateway to model providers: official SDKs call it with a CodeWords key, it calls the provider
with the provider's key.

`gateway.py` runs one exchange. Beside it, `providers.py` knows the routes, `keys.py` the keys,
`headers.py` the headers that cross, and `upstream.py` the connections. The gateway knows no web
framework: its ASGI side is `http/routes/gateway.py`.
"""
