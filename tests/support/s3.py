"""A server that speaks S3, for tests: moto's, in an environment of its own, since its dependencies do not fit beside ours."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import uv

_START_SECONDS = 180.0
_PACKAGES = ("moto[s3]>=5.2,<6", "flask>=3,<4", "flask-cors>=6,<7")
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
)
"""moto looks at no signature, but at whom and where it names."""


@dataclass
class S3:
    """The server. `bucket()` makes one; with `environment` a runtime reaches it."""

    endpoint: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for who reaches it."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "CODEWORDS_S3_ENDPOINT": self.endpoint,
        }

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}"
        self.ask("PUT", name)
        return name

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""
        self.ask("PUT", f"{bucket}/{quote(key)}", content)

    def ask(self, method: str, path: str, content: bytes | None = None) -> str:
        """The answer to a plain request."""
        headers = {"Authorization": _SIGNED, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(
            f"{self.endpoint}/{path}", method=method, headers=headers, data=content
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return answer.read().decode()


@contextmanager
def serving_s3() -> Generator[S3]:
    """A server that runs; skips the test where it cannot be installed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--python", sys.executable]
    for package in _PACKAGES:
        command += ["--with", package]
    command += ["python", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = b""
        deadline = time.monotonic() + _START_SECONDS
        while b"Running on" not in said:
            line = process.stdout.readline()
            said += line
            if not line or time.monotonic() > deadline:
                pytest.skip(f"moto, a server that speaks S3, did not start: {said.decode()[-1000:]}")
        yield S3(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=120)
