"""`codewords secrets export | import`: every secret of a home in one encrypted file, of the age format.

An export is made here and not by the runtime, whose operations return no values: a user who can read the home has its key
anyway.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect, is_elsewhere, read_settings
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.common.counts import counted
from codewords_mcp.errors import Conflict, InvalidInput

FORMAT = "codewords-secrets"
VERSION = 1
MIN_PASSPHRASE = 8


def export_secrets(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to; an existing file is not overwritten.", show_default=False
        ),
    ],
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPIENT",
            help="An age or SSH public key that opens it; may be repeated. Without: a passphrase.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write this home's secrets, with values and host rules, to one encrypted file that `age` opens too.

    Without --recipient a passphrase is asked for, or read from stdin.
    """
    import asyncio

    recipients = [_recipient(text) for text in recipient or []]
    # Only to refuse before a passphrase is typed: the link in `_write` is what decides.
    if file.exists():
        raise Conflict(f"{file} is there already.", hint="Give another name.")

    found = asyncio.run(_read_home())
    content = json.dumps({FORMAT: VERSION, "secrets": found}).encode()
    _write(file, _encrypt(content, recipients))
    if as_json:
        _output.print_json({"file": str(file), "secrets": len(found)})
    else:
        _output.line(
            f"{file} has {counted(len(found), 'secret')}. `codewords secrets import {file}` reads it."
        )

    return OK


def import_secrets(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What `codewords secrets export` wrote.", show_default=False),
    ],
    identity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The age or SSH private key that opens it. Without: a passphrase.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also secrets that are there already.")] = False,
    as_json: AsJson = False,
) -> int:
    """Store what such a file has. Secrets that are there already stay as they are, unless --replace is given."""
    found = _parse(_decrypt(_read(file), identity))
    with connect() as client:
        there = {secret["name"] for secret in client.items("/secrets")}
        stored = [secret for secret in found if replace or secret["name"] not in there]
        for secret in stored:
            rule: dict[str, Any] = secret["rule"] or {"plain": True}
            content = {key: secret[key] for key in ("value", "source") if key in secret}
            client.call("PUT", f"/secrets/{part(secret['name'])}", body={**content, **rule})

    names = [secret["name"] for secret in stored]
    skipped = [secret["name"] for secret in found if secret["name"] not in names]
    if as_json:
        _output.print_json({"stored": names, "kept": skipped})
    else:
        _output.line(f"Stored: {counted(len(names), 'secret')}.")
        if skipped:
            _output.line(f"There already, and left as they are: {', '.join(skipped)}.")

    return OK


async def _read_home() -> list[dict[str, Any]]:
    """[{name, value, rule}] of the home's own secrets, with `source` in place of `value` where that is kept elsewhere.

    Raises StorageFailed where the master key is another one.
    """
    import asyncio

    from codewords_mcp.runtime.model.caller import HOME_OWNER
    from codewords_mcp.runtime.secrets import Vault
    from codewords_mcp.runtime.secrets.rotation import Keys
    from codewords_mcp.runtime.secrets.service import SecretService
    from codewords_mcp.runtime.store import access
    from codewords_mcp.runtime.store.database import Database

    settings = read_settings()
    if is_elsewhere():
        raise InvalidInput(
            "This terminal's runtime is elsewhere or in a container, and its home is not here.",
            hint="Export on its machine, or in the container.",
        )
    if not settings.database_url and not (settings.home / "codewords.db").is_file():
        raise InvalidInput(f"There is no database in {settings.home}.", hint="CODEWORDS_HOME names the home.")

    database = await asyncio.to_thread(Database.open, settings.home, settings.database_url)
    try:
        ids = await database.read(access.secret_key_ids)
        keys = Keys(
            settings.home,
            settings.master_key,
            settings.master_key_previous,
            stored_key_ids=ids,
            # Read only: a new key must not be made for an export.
            keyring=False,
        )
        book = SecretService(database, Vault(keys.current, keys.older))
        stored = await book.contents(HOME_OWNER)
    finally:
        await asyncio.to_thread(database.close)

    return [
        {
            "name": secret.name,
            "source" if secret.source else "value": secret.content,
            "rule": secret.rule.as_json() if secret.rule else None,
        }
        for secret in stored
    ]


def _age() -> ModuleType:
    """The format's library, which has no types; imported for exports only."""
    return importlib.import_module("pyrage")


def _recipient(text: str) -> object:
    pyrage = _age()
    if text.startswith("ssh-"):
        kind = pyrage.ssh
    else:
        kind = pyrage.x25519

    try:
        return kind.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise InvalidInput(
            "That is not an age or SSH public key.", hint="It begins with age1, ssh-ed25519 or ssh-rsa."
        ) from None


def _encrypt(content: bytes, recipients: list[object]) -> bytes:
    pyrage = _age()
    if recipients:
        return pyrage.encrypt(content, recipients)
    return pyrage.passphrase.encrypt(content, _passphrase(twice=True))


def _decrypt(data: bytes, identity: Path | None) -> bytes:
    pyrage = _age()
    try:
        if identity is None:
            return pyrage.passphrase.decrypt(data, _passphrase(twice=False))
        return pyrage.decrypt(data, _identities(identity))
    except pyrage.DecryptError:
        raise InvalidInput(
            "The file does not open with that, or it is damaged.", hint="Nothing was stored."
        ) from None


def _identities(path: Path) -> list[object]:
    pyrage = _age()
    data = _read(path)
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    try:
        if any(line.startswith("-----BEGIN") for line in lines):
            return [pyrage.ssh.Identity.from_buffer(data)]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-SECRET-KEY-")]
    except pyrage.IdentityError:
        raise InvalidInput(f"{path} does not hold an age or SSH private key.") from None


def _passphrase(*, twice: bool) -> str:
    if not sys.stdin.isatty():
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        import getpass

        text = getpass.getpass("Passphrase (not shown): ")
        # Nobody sees what is typed, and a slip would make the file useless.
        if twice and getpass.getpass("The same again: ") != text:
            raise InvalidInput("The two passphrases differ.")

    # Only for a new file: one that is read may have been made elsewhere, with a shorter one.
    if twice and len(text) < MIN_PASSPHRASE:
        raise InvalidInput(f"The passphrase is shorter than {MIN_PASSPHRASE} characters.")

    return text


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, for its user only. Raises Conflict, InvalidInput."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())

            # A link fails if the name is taken, where a rename would overwrite it.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise Conflict(f"{path} is there already.", hint="Give another name.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error


def _parse(content: bytes) -> list[dict[str, Any]]:
    try:
        data = json.loads(content)
        if data[FORMAT] != VERSION:
            raise ValueError
        return [
            {key: secret[key] for key in ("name", "source" if "source" in secret else "value", "rule")}
            for secret in cast("list[Any]", data["secrets"])
        ]
    except (ValueError, KeyError, TypeError):
        raise InvalidInput("The file holds no secrets of a home.", hint="Nothing was stored.") from None
