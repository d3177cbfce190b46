"""The client for async code, which is what most workflows are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, overload

import httpx

from codewords_client import _calls, _requests
from codewords_client._calls import Call
from codewords_client._config import Config
from codewords_client._errors import CodewordsConnectionError, CodewordsTimeout, raise_for_status
from codewords_client._handles import AsyncCodewordsResponse
from codewords_client._logs import LogCursor
from codewords_client._polls import Poll
from codewords_client._replies import Reply, Result, reply, result

# Seconds that printed logs may lag behind the answer of their run.
_LAST_LINES = 2.0
_CHUNK = 1 << 18


class AsyncCodewordsClient:
    """Calls a CodeWords runtime.

    `base_url` is the runtime's address, by default `CODEWORDS_RUNTIME_URI`, else `RUNTIME_URI`, else
    http://127.0.0.1:8765; `api_key` by default `CODEWORDS_API_KEY`; `default_timeout` the seconds an answer may
    take. `transport` replaces the network, for tests. Raises MissingKeyError.

    Every method raises CodewordsHTTPError for an answer of 400 or more and CodewordsConnectionError when no
    runtime answers. Use it with `async with`, or plainly and close it; it may outlive an event loop.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        default_timeout: float = 300.0,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._config = Config.resolve(base_url, api_key, default_timeout)
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._loop: object = None

    @property
    def base_url(self) -> str:
        """The runtime's address."""
        return self._config.base_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. The client may be used again."""
        client, self._client = self._client, None
        # Connections belong to their event loop: one that has ended can no longer close them.
        if client is not None and self._loop is _running_loop():
            await client.aclose()

    aclose = close

    @overload
    async def run(
        self,
        service_id: str,
        inputs: Any = None,
        path: str = "",
        request_id: str | None = None,
        correlation_id: str | None = None,
        in_background: Literal[False] = False,
        run_as_template: bool = False,
        print_logs: bool = False,
        method: str = "POST",
        *,
        data: Any = None,
    ) -> Reply: ...
    @overload
    async def run(
        self,
        service_id: str,
        inputs: Any = None,
        path: str = "",
        request_id: str | None = None,
        correlation_id: str | None = None,
        *,
        in_background: Literal[True],
        run_as_template: bool = False,
        print_logs: bool = False,
        method: str = "POST",
        data: Any = None,
    ) -> AsyncCodewordsResponse: ...
    async def run(
        self,
        service_id: str,
        inputs: Any = None,
        path: str = "",
        request_id: str | None = None,
        correlation_id: str | None = None,
        in_background: bool = False,
        run_as_template: bool = False,
        print_logs: bool = False,
        method: str = "POST",
        *,
        data: Any = None,
    ) -> Reply | AsyncCodewordsResponse:
        """Run a workflow or a library service with `inputs` (or `data`, which is the same).

        Returns a `Reply`: an `httpx.Response` that is also its JSON. In the background: an `AsyncCodewordsResponse`.
        `print_logs` writes the run's log to stdout as it comes.
        """
        body = _calls.chosen_inputs(inputs, data)
        if print_logs and not in_background:
            # A log can be followed before the run starts only by an id that exists already.
            request_id = request_id or await self.provision_request()
        call = _calls.run_call(
            service_id,
            body,
            path=path,
            method=method,
            background=in_background,
            request_id=request_id,
            correlation_id=correlation_id,
            run_as_template=bool(run_as_template),
        )
        if in_background:
            return AsyncCodewordsResponse((await self._json(call))["request_id"], self)

        if print_logs and request_id:
            async with self._printed(request_id):
                return reply(await self._send(call))

        return reply(await self._send(call))

    async def start_service(
        self,
        service_id: str,
        inputs: Any = None,
        path: str = "",
        correlation_id: str | None = None,
        *,
        data: Any = None,
    ) -> AsyncCodewordsResponse:
        """Start a run in the background."""
        body = _calls.chosen_inputs(inputs, data)
        handle: AsyncCodewordsResponse = await self.run(
            service_id, body, path, correlation_id=correlation_id, in_background=True
        )
        return handle

    async def provision_request(self) -> str:
        """A run id whose log can be followed before the run starts; pass it to `run` as `request_id`."""
        return str((await self._json(Call("POST", "/provision-request")))["request_id"])

    async def get_request_details(self, request_id: str) -> dict[str, Any]:
        """The run's record as it is now."""
        record: dict[str, Any] = await self._json(_calls.request_call(request_id))
        return record

    async def poll_result(
        self,
        request_id: str,
        timeout_seconds: float = 300,
        timeout: float | None = None,  # noqa: ASYNC109  # the public name
    ) -> Reply:
        """Wait for a run's end, up to `timeout_seconds` (or `timeout`, which is the same).

        Returns the run's record, also of a failed run (`responseStatus`, `status` and `error` tell). Raises CodewordsTimeout.
        """
        poll = Poll(request_id, timeout_seconds if timeout is None else timeout)
        while True:
            response = await self._exchange(poll.call())
            if (pause := poll.pause(response)) is None:
                raise_for_status(response)
                return reply(response)
            await asyncio.sleep(pause)

    async def get_logs(
        self, request_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[dict[str, Any]]:
        """The entries of a run's log, as they come, to the end of the run. `after` is the `createdAt` to go on from.

        Without `follow`, what there is now. A broken connection is picked up where it broke.
        """
        cursor = LogCursor(request_id, after=after, follow=follow)
        while True:
            try:
                async with self._stream(cursor.call()) as response:
                    async for line in response.aiter_lines():
                        if entry := cursor.read(line):
                            yield entry
            # The log goes on at the runtime: the next request asks for what comes after the last
            # entry.
            except httpx.TransportError as error:
                await asyncio.sleep(cursor.pause(error))
            else:
                return

    def stream_logs(self, request_id: str) -> AsyncIterator[dict[str, Any]]:
        """The same as `get_logs`."""
        return self.get_logs(request_id)

    async def create_file_upload(self, filename: str) -> dict[str, Any]:
        """Room for a file: `upload_uri`, `download_uri`, `upload_headers`."""
        links: dict[str, Any] = await self._json(_calls.file_call(filename))
        return links

    async def upload_file_content(self, filename: str, file_content: bytes | BinaryIO) -> str:
        """Store bytes, or an open binary file, under a name; the link that downloads it, good without a key."""
        links = await self.create_file_upload(filename)
        headers = _calls.put_headers(links)
        content: Any = file_content

        if not isinstance(file_content, bytes | bytearray | memoryview):
            # Without a length httpx sends an iterator in chunks, which stores that follow S3
            # refuse.
            headers["Content-Length"] = str(await asyncio.to_thread(_remaining, file_content))
            content = _chunks(file_content)

        async with self._for_anyone() as http:
            answer = await http.put(str(links["upload_uri"]), content=content, headers=headers)
        raise_for_status(answer)
        return str(links["download_uri"])

    async def upload_file(self, file_path: str | Path, filename: str | None = None) -> str:
        """Store a file of this machine, under its own name if no other is given; the link that downloads it."""
        path = Path(file_path)
        file = await asyncio.to_thread(path.open, "rb")
        try:
            return await self.upload_file_content(filename or path.name, file)
        finally:
            file.close()

    async def download_file(self, url: str, file_path: str | Path | None = None) -> bytes | Path:
        """The bytes behind a download link; with `file_path`, written there, and that path."""
        async with self._for_anyone() as http, http.stream("GET", url, follow_redirects=True) as answer:
            if answer.is_error:
                await answer.aread()
                raise_for_status(answer)

            if file_path is None:
                return await answer.aread()

            path = Path(file_path)
            # A disk may be slow, and the program's loop serves other requests meanwhile.
            file = await asyncio.to_thread(path.open, "wb")
            with file:
                async for chunk in answer.aiter_bytes():
                    await asyncio.to_thread(file.write, chunk)

            return path

    async def deploy_workflow(
        self,
        code: str | None = None,
        name: str | None = None,
        *,
        template_id: str | None = None,
        service_id: str | None = None,
        description: str | None = None,
        public: bool = False,
        allow: bool = False,
    ) -> Result:
        """Deploy code or a template: `service_id`, `version`, `url` and more. Raises when a check fails.

        It also raises where the code asks for more than was agreed; `allow` agrees to whatever it asks for.
        """
        return result(
            await self._json(
                _requests.deploy_call(
                    code,
                    name,
                    template_id=template_id,
                    service_id=service_id,
                    description=description,
                    public=public,
                    allow=allow,
                )
            )
        )

    async def validate_workflow(self, workflow_code: str) -> Result:
        """Check code without deploying it: `all_passed`, `report`, `checks`."""
        return result(await self._json(_requests.validate_call(workflow_code)))

    async def manage_secrets(
        self, operation: str = "list", secret_name: str | None = None, secret_value: str | None = None
    ) -> Result:
        """`add` (name, value), `delete` (name) or `list` (`names`). No operation gives a value back."""
        answer = await self._json(_calls.secret_call(operation, secret_name, secret_value))
        while further := _calls.secrets_after(answer):
            answer = _requests.joined(answer, await self._json(further))
        return _requests.secret_answer(answer)

    async def get_workflow_logs(
        self, request_id: str, *, follow: bool = False, max_entries: int | None = None
    ) -> list[Result]:
        """The entries of a run's log that there are now; with `follow`, or of a run that has ended, all of them."""
        # An ended run's log comes to its end by itself, so following it cannot wait.
        follow = follow or _requests.finished(await self.get_request_details(request_id))
        entries = [result(entry) async for entry in self.get_logs(request_id, follow=follow)]
        if max_entries is None:
            return entries
        return entries[-max_entries:]

    async def get_workflow_output(self, request_id: str, timeout_seconds: float = 40) -> Result:
        """`status`, `output`, `error` and the whole record, once the run has ended or the time is over."""
        try:
            return _requests.output((await self.poll_result(request_id, timeout_seconds)).json())
        except CodewordsTimeout:
            return _requests.output(await self.get_request_details(request_id))

    async def discover_pipedream_integrations(
        self,
        operation: str = "search",
        app_slug: str | None = None,
        action_name: str | None = None,
        props: dict[str, Any] | None = None,
        **more: Any,
    ) -> Result:
        """`search`, `actions`, `schema`, `check_auth` (`connected`, `connect_link_url`) or `execute`."""
        return result(
            await self._json(_requests.pipedream_call(operation, app_slug, action_name, props, more))
        )

    def _http(self) -> httpx.AsyncClient:
        """The connections of this event loop: those of a loop that has ended cannot be used again."""
        loop = _running_loop()
        if self._client is None or self._client.is_closed or self._loop is not loop:
            self._client, self._loop = (
                httpx.AsyncClient(**self._config.options(), transport=self._transport),
                loop,
            )
        return self._client

    async def _exchange(self, call: Call) -> httpx.Response:
        http = self._http()
        try:
            return await http.send(self._request(http, call))
        except httpx.ConnectError as error:
            raise CodewordsConnectionError(self._config.unreachable(), request=error.request) from error

    async def _send(self, call: Call) -> httpx.Response:
        response = await self._exchange(call)
        raise_for_status(response)
        return response

    async def _json(self, call: Call) -> Any:
        response = await self._send(call)
        if response.content:
            return response.json()
        return None

    @asynccontextmanager
    async def _stream(self, call: Call) -> AsyncGenerator[httpx.Response]:
        http = self._http()
        response = await http.send(self._request(http, call), stream=True)
        try:
            if response.is_error:
                # A streamed response has no body before it is read, and the error is in it.
                await response.aread()
                raise_for_status(response)
            yield response
        finally:
            await response.aclose()

    def _request(self, http: httpx.AsyncClient, call: Call) -> httpx.Request:
        return http.build_request(
            call.method,
            f"{self.base_url}{call.path}",
            content=call.content,
            headers={"Authorization": self._config.api_key} | call.headers,
            timeout=self._config.http_timeout(call.timeout),
        )

    @asynccontextmanager
    async def _for_anyone(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Make a client for links."""
        # A link may lead to another host: the key must not go with it, and certificates are
        # checked.
        async with httpx.AsyncClient(timeout=httpx.Timeout(600.0, connect=10.0)) as http:
            yield http

    @asynccontextmanager
    async def _printed(self, request_id: str) -> AsyncGenerator[None]:
        """Print a run's log while the block runs it."""
        printer = asyncio.ensure_future(self._print(request_id))
        try:
            yield
            # The runtime writes a run's last entries a moment after its answer.
            await asyncio.wait({printer}, timeout=_LAST_LINES)
        finally:
            printer.cancel()
            with suppress(asyncio.CancelledError):
                await printer

    async def _print(self, request_id: str) -> None:
        try:
            async for entry in self.get_logs(request_id):
                sys.stdout.write(_calls.line(entry))
        except httpx.HTTPError:
            # The log is an extra: the run's own answer says what is wrong.
            return


def _running_loop() -> object:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # Another async library runs this, such as trio.
        return None


def _remaining(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    # A file may lie on a slow disk or network, which must not stop the event loop.
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk
