"""The client for code that is not async."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, overload

import httpx

from codewords_client import _calls, _requests
from codewords_client._calls import Call
from codewords_client._config import Config
from codewords_client._errors import CodewordsConnectionError, CodewordsTimeout, raise_for_status
from codewords_client._handles import CodewordsResponse
from codewords_client._logs import LogCursor
from codewords_client._polls import Poll
from codewords_client._replies import Reply, Result, reply, result

# Seconds that printed logs may lag behind the answer of their run.
_LAST_LINES = 2.0


class CodewordsClient:
    """Calls a CodeWords runtime.

    `base_url` is the runtime's address, by default `CODEWORDS_RUNTIME_URI`, else `RUNTIME_URI`, else
    http://127.0.0.1:8765; `api_key` by default `CODEWORDS_API_KEY`; `default_timeout` the seconds an answer may
    take. `transport` replaces the network, for tests. Raises MissingKeyError.

    Every method raises CodewordsHTTPError for an answer of 400 or more and CodewordsConnectionError when no
    runtime answers. May be shared by threads. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        default_timeout: float = 300.0,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._config = Config.resolve(base_url, api_key, default_timeout)
        self._http = httpx.Client(**self._config.options(), transport=transport)

    @property
    def base_url(self) -> str:
        """The runtime's address."""
        return self._config.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def run(
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
    def run(
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
    ) -> CodewordsResponse: ...
    def run(
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
    ) -> Reply | CodewordsResponse:
        """Run a workflow or a library service with `inputs` (or `data`, which is the same).

        Returns a `Reply`: an `httpx.Response` that is also its JSON. In the background: a `CodewordsResponse`.
        `print_logs` writes the run's log to stdout as it comes.
        """
        body = _calls.chosen_inputs(inputs, data)
        if print_logs and not in_background:
            # A log can be followed before the run starts only by an id that exists already.
            request_id = request_id or self.provision_request()
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
            return CodewordsResponse(self._json(call)["request_id"], self)

        if print_logs and request_id:
            with self._printed(request_id):
                return reply(self._send(call))

        return reply(self._send(call))

    def start_service(
        self,
        service_id: str,
        inputs: Any = None,
        path: str = "",
        correlation_id: str | None = None,
        *,
        data: Any = None,
    ) -> CodewordsResponse:
        """Start a run in the background."""
        body = _calls.chosen_inputs(inputs, data)
        return self.run(service_id, body, path, correlation_id=correlation_id, in_background=True)

    def provision_request(self) -> str:
        """A run id whose log can be followed before the run starts; pass it to `run` as `request_id`."""
        return str(self._json(Call("POST", "/provision-request"))["request_id"])

    def get_request_details(self, request_id: str) -> dict[str, Any]:
        """The run's record as it is now."""
        record: dict[str, Any] = self._json(_calls.request_call(request_id))
        return record

    def poll_result(
        self, request_id: str, timeout_seconds: float = 300, timeout: float | None = None
    ) -> Reply:
        """Wait for a run's end, up to `timeout_seconds` (or `timeout`, which is the same).

        Returns the run's record, also of a failed run (`responseStatus`, `status` and `error` tell). Raises CodewordsTimeout.
        """
        poll = Poll(request_id, timeout_seconds if timeout is None else timeout)
        while True:
            response = self._exchange(poll.call())
            if (pause := poll.pause(response)) is None:
                raise_for_status(response)
                return reply(response)
            time.sleep(pause)

    def get_logs(
        self, request_id: str, *, after: str | None = None, follow: bool = True
    ) -> Iterator[dict[str, Any]]:
        """The entries of a run's log, as they come, to the end of the run. `after` is the `createdAt` to go on from.

        Without `follow`, what there is now. A broken connection is picked up where it broke.
        """
        cursor = LogCursor(request_id, after=after, follow=follow)
        while True:
            try:
                for line in self._lines(cursor.call()):
                    if entry := cursor.read(line):
                        yield entry
            # The log goes on at the runtime: the next request asks for what comes after the last
            # entry.
            except httpx.TransportError as error:
                time.sleep(cursor.pause(error))
            else:
                return

    def stream_logs(self, request_id: str) -> Iterator[dict[str, Any]]:
        """The same as `get_logs`."""
        return self.get_logs(request_id)

    def create_file_upload(self, filename: str) -> dict[str, Any]:
        """Room for a file: `upload_uri`, `download_uri`, `upload_headers`."""
        links: dict[str, Any] = self._json(_calls.file_call(filename))
        return links

    def upload_file_content(self, filename: str, file_content: bytes | BinaryIO) -> str:
        """Store bytes, or an open binary file, under a name; the link that downloads it, good without a key."""
        links = self.create_file_upload(filename)
        with self._for_anyone() as http:
            answer = http.put(
                str(links["upload_uri"]), content=file_content, headers=_calls.put_headers(links)
            )
        raise_for_status(answer)
        return str(links["download_uri"])

    def upload_file(self, file_path: str | Path, filename: str | None = None) -> str:
        """Store a file of this machine, under its own name if no other is given; the link that downloads it."""
        path = Path(file_path)
        with path.open("rb") as file:
            return self.upload_file_content(filename or path.name, file)

    def download_file(self, url: str, file_path: str | Path | None = None) -> bytes | Path:
        """The bytes behind a download link; with `file_path`, written there, and that path."""
        with self._for_anyone() as http, http.stream("GET", url, follow_redirects=True) as answer:
            if answer.is_error:
                answer.read()
                raise_for_status(answer)

            if file_path is None:
                return answer.read()

            path = Path(file_path)
            with path.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)

            return path

    def deploy_workflow(
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
            self._json(
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

    def validate_workflow(self, workflow_code: str) -> Result:
        """Check code without deploying it: `all_passed`, `report`, `checks`."""
        return result(self._json(_requests.validate_call(workflow_code)))

    def manage_secrets(
        self, operation: str = "list", secret_name: str | None = None, secret_value: str | None = None
    ) -> Result:
        """`add` (name, value), `delete` (name) or `list` (`names`). No operation gives a value back."""
        answer = self._json(_calls.secret_call(operation, secret_name, secret_value))
        while further := _calls.secrets_after(answer):
            answer = _requests.joined(answer, self._json(further))
        return _requests.secret_answer(answer)

    def get_workflow_logs(
        self, request_id: str, *, follow: bool = False, max_entries: int | None = None
    ) -> list[Result]:
        """The entries of a run's log that there are now; with `follow`, or of a run that has ended, all of them."""
        # An ended run's log comes to its end by itself, so following it cannot wait.
        follow = follow or _requests.finished(self.get_request_details(request_id))
        entries = [result(entry) for entry in self.get_logs(request_id, follow=follow)]
        if max_entries is None:
            return entries
        return entries[-max_entries:]

    def get_workflow_output(self, request_id: str, timeout_seconds: float = 40) -> Result:
        """`status`, `output`, `error` and the whole record, once the run has ended or the time is over."""
        try:
            return _requests.output(self.poll_result(request_id, timeout_seconds).json())
        except CodewordsTimeout:
            return _requests.output(self.get_request_details(request_id))

    def discover_pipedream_integrations(
        self,
        operation: str = "search",
        app_slug: str | None = None,
        action_name: str | None = None,
        props: dict[str, Any] | None = None,
        **more: Any,
    ) -> Result:
        """`search`, `actions`, `schema`, `check_auth` (`connected`, `connect_link_url`) or `execute`."""
        return result(self._json(_requests.pipedream_call(operation, app_slug, action_name, props, more)))

    def _exchange(self, call: Call) -> httpx.Response:
        try:
            return self._http.send(self._request(call))
        except httpx.ConnectError as error:
            raise CodewordsConnectionError(self._config.unreachable(), request=error.request) from error

    def _send(self, call: Call) -> httpx.Response:
        response = self._exchange(call)
        raise_for_status(response)
        return response

    def _json(self, call: Call) -> Any:
        response = self._send(call)
        if response.content:
            return response.json()
        return None

    def _lines(self, call: Call) -> Iterator[str]:
        response = self._http.send(self._request(call), stream=True)
        try:
            if response.is_error:
                response.read()
                raise_for_status(response)
            yield from response.iter_lines()
        finally:
            response.close()

    def _request(self, call: Call) -> httpx.Request:
        return self._http.build_request(
            call.method,
            f"{self.base_url}{call.path}",
            content=call.content,
            headers={"Authorization": self._config.api_key} | call.headers,
            timeout=self._config.http_timeout(call.timeout),
        )

    @contextmanager
    def _for_anyone(self) -> Generator[httpx.Client]:
        """Make a client for links."""
        # A link may lead to another host: the key must not go with it, and certificates are
        # checked.
        with httpx.Client(timeout=httpx.Timeout(600.0, connect=10.0)) as http:
            yield http

    @contextmanager
    def _printed(self, request_id: str) -> Generator[None]:
        """Print a run's log while the block runs it."""
        over = threading.Event()
        # A thread that waits for a log must not keep the process from ending.
        printer = threading.Thread(target=self._print, args=(request_id, over), daemon=True)
        printer.start()
        try:
            yield
        finally:
            # The runtime writes a run's last entries a moment after its answer. A read cannot be
            # interrupted: after that the thread ends at its next entry.
            printer.join(_LAST_LINES)
            over.set()

    def _print(self, request_id: str, over: threading.Event) -> None:
        try:
            for entry in self.get_logs(request_id):
                if over.is_set():
                    return
                sys.stdout.write(_calls.line(entry))
        except (httpx.HTTPError, RuntimeError):
            # The log is an extra: the run's own answer says what is wrong. httpx raises RuntimeError where the client
            # was closed meanwhile.
            return
