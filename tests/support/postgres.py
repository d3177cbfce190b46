"""A PostgreSQL server of the tests' own, from the system's package, run by an ordinary user in a folder that goes away."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.needs import require
from tests.support.processes import SHARED_SERVERS

from codewords_mcp.runtime.store.database import Database

_START_SECONDS = 180.0
_USERS = ("postgres", "nobody")


class Postgres:
    """The server. `url` and `migrated_url` make a database and give its address; `crash` and `start` are what they say."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._numbers = itertools.count()
        self._user = _ordinary_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._migrated: str | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        if self._user:
            shutil.chown(folder, self._user)
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "codewords", "-A", "trust", "-E", "UTF8", "--no-sync"
        )

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def programs(self) -> Path:
        """The folder of the server's and the client's programs."""
        return self._programs

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            user=self._user,
            cwd=self._folder,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")

    def start(self) -> None:
        """Start it, also after a crash; returns when it answers."""
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": str(self._folder),
            "fsync": "off", "max_connections": 200,
            # It visits every database once a minute. Hundreds of tests leave one each, and what it would save lasts longer than they do.
            "autovacuum": "off",
        }  # fmt: skip
        with (self._folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", str(self._folder / "data")]
                + [f"-c{name}={value}" for name, value in options.items()],
                user=self._user, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        SHARED_SERVERS.add(self._process.pid)
        deadline = time.monotonic() + _START_SECONDS
        ready = [
            self._programs / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "codewords",
        ]
        while subprocess.run(ready, check=False).returncode != 0:
            assert time.monotonic() < deadline, (self._folder / "log").read_text(errors="replace")[-3000:]
            time.sleep(0.05)

    def end(self, how: signal.Signals) -> None:
        """SIGINT ends it in order, SIGQUIT as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def crash(self) -> None:
        """kill -9 one of its processes: it ends all others and recovers what it has written down, by itself."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(
            encoding="ascii"
        )
        os.kill(int(children.split()[0]), signal.SIGKILL)

    def url(self) -> str:
        """The address of a new, empty database: for tests in which a first start fills it."""
        return self._create("template1")

    def migrated_url(self) -> str:
        """The address of a new database that has its tables, as `make_home` gives them to a home of its own."""
        if self._migrated is None:
            url = self.url()
            with tempfile.TemporaryDirectory() as home:
                Database.open(Path(home), url).close()
            self._migrated = url.rpartition("/")[2]
        return self._create(self._migrated)

    def _create(self, template: str) -> str:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._run(
            "createdb",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "codewords",
            "-T",
            template,
            "-S",
            "file_copy",
            name,
        )
        return f"postgresql://codewords@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> Path:
        """Write a database to a file with `pg_dump`."""
        file = self._folder / f"{next(self._numbers)}.dump"
        self._run("pg_dump", "-Fc", "-f", str(file), url)
        return file

    def restore(self, file: Path, url: str, *options: str) -> None:
        """Fill a database from a dump with `pg_restore`."""
        self._run("pg_restore", "--no-owner", *options, "-d", url, str(file))


def _ordinary_user() -> str | None:
    """Whom root starts it as: the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in _USERS if user in known)


def _programs() -> Path | None:
    for folder in (
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *os.environ["PATH"].split(":"),
    ):
        if (Path(folder) / "initdb").is_file():
            return Path(folder)
    return None


@contextmanager
def serving_postgres() -> Generator[Postgres]:
    """A server that runs; skips the test where the package is not installed."""
    programs = _programs()
    if programs is None:
        require("postgresql")
        raise AssertionError("Debian's package postgresql is here, but has no initdb")
    with tempfile.TemporaryDirectory(prefix="codewords-pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), programs)
        server.start()
        try:
            yield server
        finally:
            server.end(signal.SIGQUIT)
