"""Ceph's object gateway for tests: a server of S3 as it is in production, with its store in SQLite instead of a cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.auth import S3SigV4Auth  # pyright: ignore[reportMissingTypeStubs]
from botocore.awsrequest import AWSRequest  # pyright: ignore[reportMissingTypeStubs]
from botocore.credentials import Credentials  # pyright: ignore[reportMissingTypeStubs]
from tests.support.needs import require
from tests.support.s3 import S3
from tests.support.waiting import until

_CONFIGURATION = """
[global]
run_dir = {folder}
admin_socket =
[client]
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_db_dir = {folder}
dbstore_config_uri = file:{folder}/config.db
rgw_data = {folder}
rgw_frontends = beast endpoint=127.0.0.1:{port}
"""


@dataclass
class CephGateway(S3):
    """The gateway, which looks at signatures."""

    def ask(self, method: str, path: str, content: bytes | None = None) -> str:
        """The answer to a signed request."""
        address = f"{self.endpoint}/{path}"
        request: Any = AWSRequest(method, address, data=content or b"")
        signer: Any = S3SigV4Auth(Credentials("test", "test"), "s3", "us-east-1")
        signer.add_auth(request)
        sent = urllib.request.Request(address, method=method, headers=dict(request.headers), data=content)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(sent, timeout=30) as answer:
            return answer.read().decode()


def _run_until_told(command: list[str | Path]) -> None:
    """Run a command until it has printed its whole answer, an object. On a busy machine it may not end after that."""
    environment = os.environ | {"CEPH_ARGS": ""}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            assert any(line == "}\n" for line in process.stdout), "it printed no answer"
        finally:
            process.kill()


@contextmanager
def serving_ceph() -> Generator[CephGateway]:
    """A gateway that runs, with one user; skips the test where Debian's package radosgw is not installed."""
    require("radosgw")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="ceph-"))
    configuration = folder / "ceph.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port), encoding="utf-8")
    common = ["-c", configuration, "--no-mon-config", "-n", "client.rgw.test"]

    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        ["radosgw", *common, "-f", "-d"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        until(lambda: _listens(port) or process.poll() is not None, "the gateway")
        assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
        user = [
            "user",
            "create",
            "--uid=test",
            "--display-name=test",
            "--access-key=test",
            "--secret-key=test",
        ]
        _run_until_told(["radosgw-admin", *common, *user])
        yield CephGateway(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
