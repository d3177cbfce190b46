"""A client of the Debug Adapter Protocol on a socket: requests, responses and events, as an editor has them."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Message = dict[str, Any]


class DapClient:
    """One debugging session. Each wait takes at most `timeout` seconds."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._stream = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._messages: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request without waiting; its number."""
        number = next(self._numbers)
        body = json.dumps(
            {"seq": number, "type": "request", "command": command, "arguments": arguments}
        ).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return number

    def ask(self, command: str, **arguments: Any) -> Message:
        """The body of the response to a request, which succeeded."""
        return self.response(self.send(command, **arguments))

    def response(self, number: int) -> Message:
        found = self._wait(lambda m: m["type"] == "response" and m["request_seq"] == number)
        assert found["success"], found
        return found.get("body") or {}

    def event(self, name: str) -> Message:
        """The body of the next event of a name, also of one that came before."""
        return self._wait(lambda m: m["type"] == "event" and m["event"] == name).get("body") or {}

    def _wait(self, matches: Callable[[Message], bool]) -> Message:
        for message in self._messages:
            if matches(message):
                self._messages.remove(message)
                return message
        while True:
            message = self._read()
            if matches(message):
                return message
            self._messages.append(message)

    def _read(self) -> Message:
        length = 0
        while (line := self._stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, f"the connection ended; messages so far: {self._messages}"
        return json.loads(self._stream.read(length))
