"""`codewords files list | upload | download | delete`."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast
from urllib.parse import urlsplit

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import SLOW, RuntimeClient, remote_error
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli._times import to_minute
from codewords_mcp.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

_BINARY: Final = "application/octet-stream"
_PIECE: Final = 1 << 20
app = typer.Typer(no_args_is_help=True, help="Files that you or your workflows uploaded, kept for some days.")
FileId = Annotated[
    str,
    typer.Argument(metavar="ID", help="A file's id, as `codewords files list` shows it.", show_default=False),
]


@app.command("list")
def list_files(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List uploaded files, newest first."""
    with connect() as client:
        items = cast("list[Json]", _call(client, "list", {"limit": limit})["files"])
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            file["file_id"],
            _output.size(file["size"]),
            file["content_type"],
            to_minute(file["expires_at"]),
            file["filename"],
        ]
        for file in items
    ]
    headers = ["ID", "SIZE", "TYPE", "KEPT UNTIL", "NAME"]
    _output.table(headers, rows, empty="No files. `codewords files upload FILE` stores one.")
    return OK


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Its name there; the file's own otherwise.")] = None,
    as_json: AsJson = False,
) -> int:
    """Store a file and print its link, which needs no key: an input for workflows."""
    kind = mimetypes.guess_type(name or file.name)[0] or _BINARY
    try:
        content = file.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {error.strerror}.", hint="Give the path of a file."
        ) from error
    with content, connect() as client:
        links = client.record("POST", "/file", params={"filename": name or file.name})
        _put(client, str(links["upload_uri"]), content, kind)

    link = str(links["download_uri"])
    if as_json:
        _output.print_json({"filename": name or file.name, "content_type": kind, "download_uri": link})
    else:
        _output.line(link)
    return OK


@app.command()
def download(
    file_id: FileId,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to; its own name in this folder otherwise, `-` is stdout.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write an uploaded file into this folder. What is there is never overwritten."""
    with connect() as client:
        found = _call(client, "link", {"file_id": file_id})
        # Its name was made elsewhere: only its last part is one.
        target = output or Path(Path(str(found["filename"])).name or file_id)
        size = _get(client, str(found["download_uri"]), target)
    if as_json:
        _output.print_json({"file_id": file_id, "file": str(target), "size": size})
    elif str(target) != "-":
        _output.line(f"{target}  {_output.size(size)}")
    return OK


@deletes(app)
def delete(file_id: FileId, as_json: AsJson = False) -> int:
    """Delete an uploaded file; its links lead nowhere then."""
    with connect() as client:
        _call(client, "delete", {"file_id": file_id})
    return tell_deleted(file_id, {"file_id": file_id}, as_json=as_json)


def _call(client: RuntimeClient, operation: str, body: Json) -> Json:
    """Call an operation of the library service for files."""
    return client.record("POST", f"/run/files/{operation}", body=body)


def _put(client: RuntimeClient, address: str, content: Any, kind: str) -> None:
    # Only the path: the client has an address of its own for the runtime.
    path = urlsplit(address).path
    # In pieces, so that a large file does not have to fit into memory.
    pieces = iter(lambda: content.read(_PIECE), b"")
    client.send_pieces("PUT", path, pieces, {"Content-Type": kind})


def _get(client: RuntimeClient, address: str, target: Path) -> int:
    """Write the bytes of a link. Returns their number. Raises Conflict where the file is there."""
    path, size = urlsplit(address).path, 0
    with client.stream("GET", path, content=None, headers={}, timeout=SLOW) as response:
        if response.is_error:
            raise remote_error(response.status_code, response.read())
        if str(target) == "-":
            for piece in response.iter_bytes():
                size += sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return size
        try:
            # "x": a file that is there is refused in the same step in which it would be made.
            with target.open("xb") as file:
                for piece in response.iter_bytes():
                    size += file.write(piece)
        except FileExistsError:
            raise Conflict(f"{target} is there already.", hint="Name another one: --output FILE.") from None
        except OSError as error:
            raise InvalidInput(
                f"{target} cannot be written: {error.strerror}.", hint="--output FILE"
            ) from error
    return size
