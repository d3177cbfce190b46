"""A background run in the caller's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codewords_client._async_client import AsyncCodewordsClient
    from codewords_client._replies import Reply
    from codewords_client._sync_client import CodewordsClient


class CodewordsResponse:
    """A run that was started in the background."""

    def __init__(self, request_id: str, client: CodewordsClient) -> None:
        self.request_id = request_id
        self._client = client

    def __repr__(self) -> str:
        return f"{type(self).__name__}(request_id={self.request_id})"

    def logs(self) -> Iterator[dict[str, Any]]:
        """The log's entries as they come, to the end of the run."""
        return self._client.get_logs(self.request_id)

    def result(self, timeout_seconds: float = 300) -> Reply:
        """The finished run's record; its JSON result's keys too. Raises CodewordsTimeout."""
        return self._client.poll_result(self.request_id, timeout_seconds)

    def details(self) -> dict[str, Any]:
        """The run's record as it is now."""
        return self._client.get_request_details(self.request_id)


class AsyncCodewordsResponse:
    """A run that was started in the background."""

    def __init__(self, request_id: str, client: AsyncCodewordsClient) -> None:
        self.request_id = request_id
        self._client = client

    def __repr__(self) -> str:
        return f"{type(self).__name__}(request_id={self.request_id})"

    def logs(self) -> AsyncIterator[dict[str, Any]]:
        """The log's entries as they come, to the end of the run."""
        return self._client.get_logs(self.request_id)

    async def result(self, timeout_seconds: float = 300) -> Reply:
        """The finished run's record; its JSON result's keys too. Raises CodewordsTimeout."""
        return await self._client.poll_result(self.request_id, timeout_seconds)

    async def details(self) -> dict[str, Any]:
        """The run's record as it is now."""
        return await self._client.get_request_details(self.request_id)
