"""Client of a runtime for the commands: HTTP, and errors of responses as `CodewordsError`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from codewords_mcp import __version__
from codewords_mcp.cli._remedies import WORDS
from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.errors import CodewordsError, RuntimeUnavailable
from codewords_mcp.errors.remedies import reword

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    import httpx2

Json = dict[str, Any]
_ENVELOPE = frozenset({"code", "message", "hint", "remedy", "origin"})
"""Fields of every error in a response; the others are its details."""

QUICK = 30.0
"""Seconds between two bytes of an answer that the runtime only looks up."""
SLOW = 900.0
"""Seconds between two bytes where an environment may be built or a workflow may run."""


class RemoteError(CodewordsError):
    """An error as the runtime sent it; `code`, `origin` and the details are the response's."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(
            str(body.get("message") or f"The runtime answered {status}."), hint=str(body.get("hint") or "")
        )
        self.code = str(body.get("code") or "internal_error")
        self.status = status
        if body.get("origin") == "service":
            self.origin = "service"
        else:
            self.origin = "platform"
        self.body = dict(body)

        # The runtime worded the remedy for HTTP; here it is a command. A newer runtime may send
        # one that is unknown here: its own words stay.
        remedy = body.get("remedy")
        if isinstance(remedy, dict):
            self.hint, _ = reword(self.hint, cast("Json", remedy), WORDS)

        if self.code == "unauthenticated":
            self.hint = (
                "Set CODEWORDS_API_KEY to a key of that runtime; `codewords keys create` there makes one."
            )

    def details(self) -> dict[str, Any]:
        """Return the response's fields beside code, message, hint and origin."""
        return {key: value for key, value in self.body.items() if key not in _ENVELOPE}


@dataclass(frozen=True, slots=True)
class RuntimeEndpoint:
    """Address of a runtime and the key for it; `url` has no trailing slash."""

    url: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that every request carries."""
        named = {"User-Agent": f"codewords-cli/{__version__}"}
        if self.key:
            return named | {"Authorization": f"Bearer {self.key}"}
        return named


class RuntimeClient:
    """Client of a runtime over HTTP. Every method raises `CodewordsError` subclasses only."""

    def __init__(self, endpoint: RuntimeEndpoint) -> None:
        import httpx2

        self.endpoint = endpoint
        # A proxy of the environment must never see the key of a loopback runtime.
        self._http = httpx2.Client(
            base_url=endpoint.url,
            headers=endpoint.headers,
            timeout=httpx2.Timeout(QUICK, connect=10),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        params: Json | None = None,
        timeout: float = QUICK,
    ) -> JsonValue:
        """Make a request, with `body` as JSON or `content` as it is. Returns the JSON of the response, None if it has no body."""
        with translated(self.endpoint.url):
            response = self._http.request(
                method, path, json=body, content=content, params=without_none(params), timeout=timeout
            )
        if response.is_error:
            raise remote_error(response.status_code, response.content)
        if response.content:
            return decode(response.content)
        return None

    def record(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        params: Json | None = None,
        timeout: float = QUICK,
    ) -> Json:
        """`call` where the answer is an object."""
        answer = self.call(method, path, body=body, content=content, params=params, timeout=timeout)
        if not isinstance(answer, dict):
            raise not_ours()
        return cast("Json", answer)

    def items(self, path: str) -> list[Json]:
        """GET a whole list, page after page: a bare array, or the first value of objects."""
        items: list[Json] = []
        cursor: Any = None

        while True:
            answer = self.call("GET", path, params={"cursor": cursor} if cursor else None)
            cursor = None
            if isinstance(answer, dict):
                # Lists are `{"items": […]}`; older runtimes sent bare arrays.
                cursor = cast("Json", answer).get("next_cursor")
                answer = next(iter(cast("Json", answer).values()), None)
            if not isinstance(answer, list):
                raise not_ours()

            page = cast("list[Json]", answer)
            items += page
            # An empty page with a cursor would make the loop endless.
            if not cursor or not page:
                return items

    def call_with_progress(self, path: str, body: Any, report: Callable[[str], None]) -> Json:
        """POST and follow the progress lines of the answer; returns its result."""
        headers = {"Accept": "application/x-ndjson"}
        for item in self.lines("POST", path, body=body, headers=headers, timeout=SLOW):
            if item is None:
                continue
            if "progress" in item:
                report(str(item["progress"].get("message") or ""))
            elif "error" in item:
                raise RemoteError(int(item.get("status") or 0), item["error"])
            else:
                return cast("Json", item.get("result", item))

        raise RuntimeUnavailable(
            "The runtime ended its answer before the result.",
            hint="Try again; `codewords doctor` says how it is.",
        )

    def lines(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Json | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = QUICK,
    ) -> Iterator[Json | None]:
        """The JSON objects of an NDJSON answer as they come; None for a blank line, which is a heartbeat."""
        with (
            translated(self.endpoint.url),
            self._http.stream(
                method, path, json=body, params=without_none(params), headers=headers, timeout=timeout
            ) as response,
        ):
            if response.is_error:
                raise remote_error(response.status_code, response.read())
            for text in response.iter_lines():
                yield cast("Json", decode(text.encode())) if text.strip() else None

    def send_pieces(
        self, method: str, path: str, pieces: Iterable[bytes], headers: Mapping[str, str]
    ) -> None:
        """Make a request whose body comes in pieces."""
        with translated(self.endpoint.url):
            response = self._http.request(method, path, content=pieces, headers=headers, timeout=SLOW)
        if response.is_error:
            raise remote_error(response.status_code, response.content)

    @contextmanager
    def stream(
        self, method: str, path: str, *, content: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Generator[httpx2.Response]:
        """An answer whose body the caller reads; leaving early hangs up. `timeout`: seconds between bytes."""
        with (
            translated(self.endpoint.url),
            self._http.stream(method, path, content=content, headers=headers, timeout=timeout) as response,
        ):
            yield response


@contextmanager
def translated(url: str) -> Generator[None]:
    """Raise what the HTTP client raises as RuntimeUnavailable, for a runtime at this address."""
    import httpx2

    try:
        yield
    except httpx2.ConnectError as error:
        raise RuntimeUnavailable(
            f"No runtime answers at {url}.",
            hint="Check CODEWORDS_RUNTIME_URL, or start one with `codewords-mcp serve`.",
        ) from error
    except httpx2.TimeoutException as error:
        raise RuntimeUnavailable(
            f"The runtime at {url} did not answer in time.", hint="`codewords doctor` says how it is."
        ) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise RuntimeUnavailable(
            f"{url} is not an address.", hint="CODEWORDS_RUNTIME_URL looks like http://host:8765."
        ) from error
    except httpx2.HTTPError as error:
        raise RuntimeUnavailable(
            f"The connection to the runtime at {url} broke off.", hint="Try again."
        ) from error


def remote_error(status: int, content: bytes) -> RemoteError:
    """The error in an answer's body, in whichever envelope it came."""
    try:
        body = parse(content)
    except ValueError:
        body = None
    if isinstance(body, dict):
        record = cast("Json", body)
        # Workflows and proxies in between have error bodies of their own.
        inner = record.get("error")
        return RemoteError(status, cast("Json", inner) if isinstance(inner, dict) else record)
    return RemoteError(status, {"message": f"The runtime answered {status} without saying why."})


def without_none(params: Json | None) -> Json | None:
    """Query parameters that have a value."""
    if params:
        return {key: value for key, value in params.items() if value is not None}
    return None


def decode(content: bytes) -> JsonValue:
    """Parse the JSON of an answer. Raises RuntimeUnavailable where it is none."""
    try:
        return parse(content)
    except ValueError as error:
        raise not_ours() from error


def not_ours() -> RuntimeUnavailable:
    """Make the error for an answer that no runtime of this version gives."""
    return RuntimeUnavailable(
        "What answered is not a CodeWords runtime, or one of another version.",
        hint="Check CODEWORDS_RUNTIME_URL; `codewords doctor` shows both versions.",
    )


def pages(client: RuntimeClient, path: str, params: Json, limit: int) -> list[Json]:
    """Up to `limit` items of a paged list."""
    items: list[Json] = []
    cursor: str | None = None

    while len(items) < limit:
        page = client.record(
            "GET", path, params={**params, "limit": min(limit - len(items), 100), "cursor": cursor}
        )
        items += page["items"]
        cursor = page.get("next_cursor")
        # An empty page with a cursor would make the loop endless, but for a search, which comes further with each.
        if not cursor or not (page["items"] or page.get("searched")):
            break

    return items[:limit]
