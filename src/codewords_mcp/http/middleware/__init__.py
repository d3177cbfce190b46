"""Layers around every route: CORS, errors, hosts, keys, people, and the connection of the client."""
