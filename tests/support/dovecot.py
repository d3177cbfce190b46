"""Dovecot, Debian's IMAP server, for one account on loopback."""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.needs import require
from tests.support.waiting import until

_CONFIGURATION = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
auth_allow_cleartext = yes
auth_mechanisms = plain
auth_failure_delay = 0
first_valid_uid = 1
mail_driver = maildir
mail_path = {folder}/mail
passdb static {{
  password = {password}
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {folder}/home
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


@contextmanager
def dovecot(folder: Path, password: str) -> Generator[int]:
    """The port of a server that takes any user with this password. Skips the test where it cannot be."""
    require("dovecot")
    require("root")
    program = shutil.which("dovecot") or "/usr/sbin/dovecot"

    # A mailbox belongs to no administrator.
    owner = pwd.getpwnam("mail")
    for name in ("mail", "home"):
        (folder / name).mkdir()
        os.chown(folder / name, owner.pw_uid, grp.getgrnam("mail").gr_gid)
    # One folder more where several workers test.
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    with closing(socket.create_server(("127.0.0.1", 0))) as chosen:
        port = chosen.getsockname()[1]
    configuration = folder / "dovecot.conf"
    values = {"uid": owner.pw_uid, "gid": owner.pw_gid, "port": port, "password": password, "folder": folder}
    configuration.write_text(_CONFIGURATION.format(**values), encoding="ascii")
    with subprocess.Popen([program, "-F", "-c", configuration], stderr=subprocess.PIPE) as process:
        try:
            until(lambda: _answers(port) or process.poll() is not None, "Dovecot")
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) == 0


def append(port: int, account: tuple[str, str], folder: str, messages: list[tuple[bytes, float]]) -> None:
    """Put messages, each with the time when it was received, into a folder, which is created where it is missing."""
    with imaplib.IMAP4("127.0.0.1", port, timeout=60) as client:
        client.login(*account)
        client.create(folder)
        for raw, received_at in messages:
            status, told = client.append(folder, "", imaplib.Time2Internaldate(time.gmtime(received_at)), raw)
            assert status == "OK", told
        # The first who looks finds them new, and nobody after.
        client.select(folder)
