"""The providers' SDKs: `sdks.anthropic`, `sdks.genai`, `sdks.openai`, each imported when it is first used.

Every worker collects all tests and runs few of them; the three take 3.5 seconds of a processor to import.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["anthropic", "genai", "openai"]

if TYPE_CHECKING:
    import anthropic
    import openai
    from google import genai
else:

    def __getattr__(name: str) -> ModuleType:
        if name not in __all__:
            raise AttributeError(name)
        return importlib.import_module({"genai": "google.genai"}.get(name, name))
