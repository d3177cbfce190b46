"""The E2B driver: each sandbox a virtual machine of e2b.dev, with a program's own sandbox inside it.

In the machine an agent (`codewords_mcp.agent`) runs the local driver, so that a program finds there what it finds here: the
same paths, limits, isolation and egress policy. Host and agent speak over one WebSocket (`mux`, `wire`).
"""
