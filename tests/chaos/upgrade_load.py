"""Load that goes on while replicas are replaced: callers with a key for each request, who try once more what failed."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

RETRIED = frozenset({http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS})


@dataclass
class UpgradeLoad:
    """`replies` by the key of each request; `refused` is what the second attempt did not mend."""

    port: int
    key: str
    service_id: str
    replies: dict[str, Any] = field(default_factory=dict[str, Any])
    refused: list[str] = field(default_factory=list[str])
    retried: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, *, callers: int, submitters: int) -> Generator[None]:
        """Keep so many callers that wait, and so many that submit background runs, at work."""
        kinds = ["run"] * callers + ["run_async"] * submitters
        threads = [threading.Thread(target=self._ask_repeatedly, args=(kind,), daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(300)
                assert not thread.is_alive(), "a caller still waits"

    def _ask_repeatedly(self, kind: str) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            while not self._over.is_set():
                name = f"{kind}-{next(self._numbers)}"
                self._ask(connection, kind, name)
                if kind == "run_async" and name in self.replies:
                    # Without an end to wait for, it would only fill the queue of a busy machine.
                    self._wait_for(connection, self.replies[name]["request_id"])

    def _ask(self, connection: http.client.HTTPConnection, kind: str, name: str) -> None:
        failure = ""
        for _ in range(2):
            try:
                status, reply = self._send(connection, kind, name)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status, reply = 0, repr(error)
            if status == http.HTTPStatus.OK:
                self.replies[name] = reply
                return

            failure = f"{failure}{name}: {status} {reply}; "
            if status and status not in RETRIED:
                break
            self.retried += 1

        self.refused.append(f"{failure}{self._told(connection, failure)}")

    def _told(self, connection: http.client.HTTPConnection, failure: str) -> str:
        """The record of the run that a refusal names."""
        found = re.search(r"The run ([0-9a-f-]{36})", failure)
        if found is None:
            return ""
        connection.request("GET", f"/request/{found[1]}", headers={"Authorization": self.key})
        told = connection.getresponse().read().decode()
        connection.request("GET", f"/logs/{found[1]}?follow=0", headers={"Authorization": self.key})
        return told + connection.getresponse().read().decode()

    def _wait_for(self, connection: http.client.HTTPConnection, run_id: str) -> None:
        """Wait until a run has ended, wherever it can be asked."""
        while not self._over.is_set():
            try:
                connection.request("GET", f"/result/{run_id}?timeout=5", headers={"Authorization": self.key})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
            else:
                if response.status == http.HTTPStatus.OK:
                    return

    def _send(self, connection: http.client.HTTPConnection, kind: str, name: str) -> tuple[int, Any]:
        headers = {"Authorization": self.key, "Content-Type": "application/json", "Idempotency-Key": name}
        body = json.dumps({"name": name, "seconds": 0.05})
        connection.request("POST", f"/{kind}/{self.service_id}/", body, headers)
        response = connection.getresponse()
        content = response.read()
        try:
            return response.status, json.loads(content)
        except ValueError:
            return response.status, content
