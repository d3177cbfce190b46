"""Environment variables that send a program's usual HTTP clients through a proxy."""

from __future__ import annotations


def proxy_variables(port: int) -> dict[str, str]:
    """Variables for a proxy on this machine's loopback, in both spellings that clients read."""
    proxy, local = f"http://127.0.0.1:{port}", "localhost,127.0.0.1,::1"
    named = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy, "NO_PROXY": local}
    return named | {name.lower(): value for name, value in named.items()}
