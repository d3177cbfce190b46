"""The clients under the module name that some scripts import them by."""

from __future__ import annotations

from codewords_client._async_client import AsyncCodewordsClient
from codewords_client._handles import AsyncCodewordsResponse, CodewordsResponse
from codewords_client._sync_client import CodewordsClient

__all__ = ["AsyncCodewordsClient", "AsyncCodewordsResponse", "CodewordsClient", "CodewordsResponse"]
