"""Set up a workflow that imports the client: settings for the provider SDKs, and a FastAPI that keeps the contract.

Nothing here imports an SDK: each reads its address and key from the environment when its client is made.
"""

from __future__ import annotations

import os
import sys

# Only providers whose SDK reads its address from the environment in every version (openai 0.x read another name):
# an SDK that took the key alone would send it to its vendor. So not firecrawl-py, and not google-genai.
_PROVIDERS = (
    (("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE"), "/run/openai/v1"),
    (("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), ("ANTHROPIC_BASE_URL",), "/run/anthropic"),
)


def prepare() -> None:
    """Inside a workflow: default the SDKs to the runtime, and make each new FastAPI app keep the contract.

    Safe to call at any time and as often as one likes. Outside a workflow it does nothing.
    """
    if "CODEWORDS_RUNTIME_URI" in os.environ:
        point_sdks_at_runtime()
    if "SERVICE_ID" in os.environ:
        _adopt_fastapi()


def point_sdks_at_runtime() -> None:
    """Default the provider SDKs' address and key to the runtime's gateway.

    A provider for which the workflow has its own key or address is left alone altogether.
    """
    uri = os.environ.get("CODEWORDS_RUNTIME_URI", "").rstrip("/")
    key = os.environ.get("CODEWORDS_API_KEY", "")
    if not uri or not key:
        return

    for keys, addresses, path in _PROVIDERS:
        # Half of each would send one party's key to the other.
        if not any(os.environ.get(name) for name in (*keys, *addresses)):
            os.environ.update(dict.fromkeys(addresses, f"{uri}{path}") | {keys[0]: key})


def _adopt_fastapi() -> None:
    if "fastapi" in sys.modules or "uvicorn" not in sys.modules:
        from codewords_client import _service

        _service.adopt_new_apps()
