"""`python -m codewords_testing.e2b`, as a person starts it who has a package index of their own."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.integration.e2b.loopback import need_machines

from codewords_testing.e2b.__main__ import installer_settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("e2b:build-template")]


class _Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"index")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


@contextmanager
def package_index() -> Generator[str]:
    """A server that stands for an operator's index, and its address."""
    with http.server.ThreadingHTTPServer((own_address(), 0), _Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{own_address()}:{server.server_port}/simple"
        server.shutdown()


@contextmanager
def started(**variables: str) -> Generator[dict[str, str]]:
    """The command, and what it says that an SDK needs."""
    command = [sys.executable, "-m", "codewords_testing.e2b"]
    with subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().removeprefix("export ").strip() for _ in range(4)]
        try:
            yield dict(line.split("=", 1) for line in lines)
        finally:
            process.terminate()


async def test_a_template_is_built_from_the_package_index_that_the_operator_set() -> None:
    import e2b

    await need_machines()
    look = (
        "import os, urllib.request as web; assert web.urlopen(os.environ['PIP_INDEX_URL']).read() == b'index'"
    )
    with package_index() as index, started(PIP_INDEX_URL=index, no_proxy="*") as cloud:
        options: dict[str, Any] = {
            "api_key": cloud["E2B_API_KEY"], "api_url": cloud["E2B_API_URL"], "domain": cloud["E2B_DOMAIN"],
        }  # fmt: skip
        template = e2b.AsyncTemplate().from_python_image("3.11-slim").run_cmd(f'python3 -c "{look}"')
        built = await e2b.AsyncTemplate.build(
            template, "looks-at-the-index", **options
        )  # raises where a step fails
    assert built.name == "looks-at-the-index"


def test_settings_of_pip_and_uv_go_along_and_folders_of_this_machine_stay() -> None:
    environment = {
        "PIP_INDEX_URL": "https://packages.example/simple", "UV_DEFAULT_INDEX": "https://packages.example/simple",
        "SSL_CERT_FILE": "/etc/ssl/own.pem", "UV_CACHE_DIR": "/home/ann/cache", "HOME": "/home/ann", "TOKEN": "x",
    }  # fmt: skip
    assert set(installer_settings(environment)) == {"PIP_INDEX_URL", "UV_DEFAULT_INDEX", "SSL_CERT_FILE"}
