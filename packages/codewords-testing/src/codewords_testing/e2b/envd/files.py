"""envd's files: `filesystem.Filesystem` and GET and POST of `/files`, on the disk of a sandbox's machine.

Files are reached by commands in the machine itself, so that they are where the sandbox's processes see them.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import os
import secrets
import sys
import time
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codewords_testing.e2b.envd.connect import Json, RpcError
from codewords_testing.e2b.state import CloudSandbox

_HOME: Final = "/home/user"
# Starlette takes 1,000 files in a form; an SDK may send a whole folder at once.
_MOST_FILES: Final = 10_000
_TOOL: Final = r"""
import json, os, shutil, sys
operation = json.loads(sys.argv[1])
def entry(path):
    info = os.lstat(path)
    kind = "FILE_TYPE_DIRECTORY" if os.path.isdir(path) else "FILE_TYPE_FILE"
    return {"name": os.path.basename(path), "type": kind, "path": path, "size": str(info.st_size), "mode": info.st_mode & 0o7777,
            "owner": "user", "group": "user", "permissions": "rw-r--r--", "modified": info.st_mtime}
def main(do, path, to=None):
    if do == "stat":
        return entry(path)
    if do == "make":
        if os.path.isdir(path): raise FileExistsError
        os.makedirs(path)
        return entry(path)
    if do == "list":
        return [entry(os.path.join(path, name)) for name in sorted(os.listdir(path))]
    if do == "remove":
        shutil.rmtree(path) if os.path.isdir(path) else os.path.lexists(path) and os.remove(path)
    elif do == "move":
        os.rename(path, to)
        return entry(to)
    elif do == "read":
        with open(path, "rb") as file: shutil.copyfileobj(file, sys.stdout.buffer)
        sys.exit(0)
    elif do == "write":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file: shutil.copyfileobj(sys.stdin.buffer, file)
try:
    print(json.dumps({"ok": main(**operation)}))
except OSError as error:
    print(json.dumps({"failed": type(error).__name__, "why": error.strerror or ""}), file=sys.stderr)
    sys.exit(9)
"""


def real(path: str) -> str:
    """Relative ones and `~` are below the user's home."""
    if path.startswith("~"):
        path = _HOME + path[1:]
    return os.path.normpath(os.path.join(_HOME, path))  # noqa: PTH118


async def _tool(sandbox: CloudSandbox, operation: Json, stdin_bytes: bytes | None = None) -> bytes:
    """Do it in the machine: what it printed. Raises RpcError."""
    # Isolated, so that nothing in the sandbox's environment or folders changes how the tool runs.
    argv = [sys.executable, "-I", "-S", "-c", _TOOL, json.dumps(operation)]
    process = await sandbox.machine.run(argv, {"PATH": "/usr/bin:/bin"}, "/", stdin=stdin_bytes is not None)
    loop = asyncio.get_running_loop()
    # Read while it is written to: pipes hold little, and both sides would wait for each other.
    reads = [loop.run_in_executor(None, _read_all, fd) for fd in process.output]
    if stdin_bytes is not None and process.stdin is not None:
        await loop.run_in_executor(None, _write_all, process.stdin, stdin_bytes)
    out, err = await asyncio.gather(*reads)
    if await process.ended == 0:
        return out

    failed: Json = json.loads(err.splitlines()[-1]) if err.strip() else {"failed": "OSError", "why": ""}
    path = operation["path"]
    if failed["failed"] in ("FileNotFoundError", "NotADirectoryError"):
        raise RpcError("not_found", f"path '{path}' does not exist")
    if failed["failed"] == "FileExistsError":
        raise RpcError("already_exists", f"path '{path}' already exists")

    raise RpcError("invalid_argument", f"'{path}': {failed['why'].lower()}")


def _read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def _write_all(fd: int, data: bytes) -> None:
    try:
        with open(fd, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        # It has failed, and its own output says why.
        pass


def _entry(raw: Json) -> Json:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(raw.pop("modified")))
    return raw | {"modifiedTime": stamp}


async def _done(sandbox: CloudSandbox, do: str, path: str, **more: Any) -> Json:
    return json.loads(await _tool(sandbox, {"do": do, "path": real(path)} | more))


async def stat(sandbox: CloudSandbox, message: Json, _request: Request) -> Json:
    """One entry."""
    return {"entry": _entry((await _done(sandbox, "stat", message["path"]))["ok"])}


async def make_dir(sandbox: CloudSandbox, message: Json, _request: Request) -> Json:
    """With the folders above it."""
    return {"entry": _entry((await _done(sandbox, "make", message["path"]))["ok"])}


async def list_dir(sandbox: CloudSandbox, message: Json, _request: Request) -> Json:
    """Sorted by name, one level."""
    listed = await _done(sandbox, "list", message["path"])
    return {"entries": [_entry(entry) for entry in listed["ok"]]}


async def remove(sandbox: CloudSandbox, message: Json, _request: Request) -> None:
    """A folder with all in it."""
    await _done(sandbox, "remove", message["path"])


async def move(sandbox: CloudSandbox, message: Json, _request: Request) -> Json:
    """Rename."""
    moved = await _done(sandbox, "move", message["source"], to=real(message["destination"]))
    return {"entry": _entry(moved["ok"])}


def is_signed(request: Request, sandbox: CloudSandbox, operation: str) -> bool:
    """By the token, or by a URL that the SDK signed with it."""
    query = request.query_params
    if request.headers.get("x-access-token") == sandbox.token:
        return True

    # Parts and order as the SDK signs them: path, operation, user, token, expiry.
    parts = [query.get("path", ""), operation, query.get("username", ""), sandbox.token]
    until = query.get("signature_expiration")
    if until is not None:
        parts.append(until)
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    signature = "v1_" + base64.b64encode(digest).rstrip(b"=").decode()
    fresh = until is None or int(until) > time.time()

    return fresh and secrets.compare_digest(signature, query.get("signature", ""))


def _error(status: int, message: str) -> Response:
    return JSONResponse({"code": status, "message": message}, status)


async def read(request: Request, sandbox: CloudSandbox) -> Response:
    """GET /files?path="""
    if not is_signed(request, sandbox, "read"):
        return _error(401, "missing signature query parameter")
    path = request.query_params.get("path", "")
    try:
        data = await _tool(sandbox, {"do": "read", "path": real(path)})
    except RpcError as error:
        return _error(404 if error.code == "not_found" else 400, error.message)
    return Response(data, media_type="application/octet-stream")


async def write(request: Request, sandbox: CloudSandbox) -> Response:
    """POST /files?path=, as multipart or as it is, gzipped or not."""
    if not is_signed(request, sandbox, "write"):
        return _error(401, "missing signature query parameter")

    written: list[Json] = []
    try:
        for name, data in await _parts(request):
            path = real(name)
            await _tool(sandbox, {"do": "write", "path": path}, data)
            written.append({"path": path, "name": os.path.basename(path), "type": "file"})  # noqa: PTH119
    except RpcError as error:
        return _error(400, error.message)

    return JSONResponse(written)


async def _parts(request: Request) -> list[tuple[str, bytes]]:
    path = request.query_params.get("path")
    if request.headers.get("content-type", "").startswith("multipart/"):
        async with request.form(max_files=_MOST_FILES) as form:
            uploads = [upload for upload in form.getlist("file") if isinstance(upload, UploadFile)]
            return [(path or upload.filename or "", await upload.read()) for upload in uploads]
    body = await request.body()
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return [(path or "", body)]
