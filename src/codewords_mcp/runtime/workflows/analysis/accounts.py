"""Finds calls of the providers' SDKs that go to the account at the provider: files, batches, fine-tuned models."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from codewords_mcp.runtime.model.manifest import account_item
from codewords_mcp.runtime.workflows.analysis.scopes import ScriptIndex

_SDKS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
"""The package that is imported → the provider."""
_STORES = frozenset(
    {
        "assistants", "batches", "caches", "containers", "conversations", "evals", "file_search_stores", "fine_tuning", "skills",
        "threads", "tunings", "vector_stores",
    }
)  # fmt: skip
"""Parts of an SDK's client whose every method is about the account."""
_OTHERS = {
    "files": frozenset({"list", "delete", "content", "retrieve_content", "download", "register_files"}),
    "models": frozenset({"delete", "update"}),
    "responses": frozenset({"delete"}),
    "completions": frozenset({"list", "retrieve", "update", "delete"}),
}
"""Parts of which only these methods are; the others upload, or look at what the caller has made."""


def accounts_of(script: ScriptIndex, models: set[str]) -> set[str]:
    """Return the manifest's items for the accounts that the code names, of providers that it asks."""
    imported = {_SDKS[top] for module in script.imports if (top := module.partition(".")[0]) in _SDKS}
    # Method names such as `files.list` are common; only next to a provider's SDK do they mean
    # it.
    providers = imported & models
    if not providers or not any(_names_account(call) for call, _ in script.calls):
        return set()
    return {account_item(provider) for provider in providers}


def _names_account(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    parts = list(_parts(call.func.value))
    if _STORES.intersection(parts):
        return True
    return bool(parts) and call.func.attr in _OTHERS.get(parts[0], ())


def _parts(node: ast.expr) -> Iterator[str]:
    """The attributes of a chain, the last first."""
    while isinstance(node, ast.Attribute):
        yield node.attr
        node = node.value
