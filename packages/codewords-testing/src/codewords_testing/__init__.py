"""Loopback servers that stand in for E2B, model providers, Pipedream Connect, apps and the upstreams of library services."""
