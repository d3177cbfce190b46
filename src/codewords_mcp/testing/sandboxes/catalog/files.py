"""Checks of a program's files, and of their removal afterwards."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from codewords_mcp.runtime.sandboxes.base import Capability
from codewords_mcp.testing.sandboxes.expecting import expect, same, until
from codewords_mcp.testing.sandboxes.model import Need
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

# Folders where a program may write by custom.
_FOLDERS = '("/app", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), tempfile.gettempdir())'


@check("files.write")
async def write(context: Context) -> None:
    """A program writes where it runs, in its home and in its folder for temporary files, and reads it back."""
    code = """
    import json, os, pathlib, sqlite3, tempfile
    folders = [os.getcwd(), os.path.expanduser("~"), tempfile.gettempdir()]
    for folder in folders:
        path = pathlib.Path(folder, "inner", "päper \\U0001f388")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(range(256)))
        assert path.read_bytes() == bytes(range(256))
        path.chmod(0o600)
        os.replace(path, path.with_name("renamed"))
        os.symlink("renamed", path.with_name("link"))
        os.link(path.with_name("renamed"), path.with_name("hard"))
        assert path.with_name("link").stat().st_nlink == 2
        database = sqlite3.connect(os.path.join(folder, "data.db"))
        database.execute("create table t (x)")
        database.execute("insert into t values (1)")
        database.commit()
        database.close()
        for left in ("link", "hard", "renamed"):
            path.with_name(left).unlink()
        path.parent.rmdir()
        os.unlink(os.path.join(folder, "data.db"))
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    print(json.dumps("written"))
    """
    same(await context.report(code), "written", "What the program says")


@check("files.gone")
async def gone(context: Context) -> None:
    """What a program wrote, wherever it could, is gone in the next sandbox, and from the host."""
    mark = secrets.token_hex(16)
    write_all = f"""
    import json, os, tempfile
    written = []
    for folder in {_FOLDERS}:
        try:
            with open(os.path.join(folder, {mark!r}), "w") as file:
                file.write({mark!r})
            written.append(folder)
        except OSError:
            pass
    print(json.dumps(written))
    """
    look = f"""
    import json, os, tempfile
    print(json.dumps([folder for folder in {_FOLDERS} if os.path.exists(os.path.join(folder, {mark!r}))]))
    """

    # Without isolation these folders are the host's own.
    if context.driver.tier.id == "P":
        write_all = write_all.replace(_FOLDERS, "(os.getcwd(), tempfile.gettempdir())")
        look = look.replace(_FOLDERS, "(os.getcwd(), tempfile.gettempdir())")

    # Else the check would prove nothing.
    written = await context.report(write_all)
    expect(written, "The program could write nowhere.")
    same(await context.report(look), [], "Folders where the next sandbox sees the file")
    await context.leaves_nothing(mark)


def _make_beside(folder: Path) -> Path:
    """A folder of the host with a file in it."""
    beside = folder / "beside"
    beside.mkdir(exist_ok=True)
    (beside / "file").touch()
    return beside


@check("files.killed-while-writing")
async def killed_while_writing(context: Context) -> None:
    """A sandbox killed while it writes leaves no file and no socket on the host."""
    mark = secrets.token_hex(16)
    # A file outside, to which the program links: removal must not follow the link.
    beside = _make_beside(context.folder)
    code = f"""
    import itertools, os, tempfile
    folder = os.path.join(tempfile.gettempdir(), "many")
    os.mkdir(folder)
    os.symlink({str(beside)!r}, os.path.join(folder, "link"))
    for number in itertools.count():
        os.makedirs(os.path.join(folder, str(number % 300), "inner"), exist_ok=True)
        with open(os.path.join(folder, str(number % 300), "inner", "file"), "w") as file:
            file.write({mark!r})
        if number == 100:
            os.chmod(folder + "/7/inner", 0)
            os.chmod(folder + "/7", 0)
            print("going", flush=True)
    """
    # Folder 7 is left alone once its permissions are gone.
    code = code.replace("number % 300", "(number % 290 + 10 if number > 100 else number)")

    async with context.running(code) as program:
        await program.until_printed(b"going")
        path = Path(program.sandbox.socket_path)
        expect(os.access(path, os.F_OK), "The sandbox's socket is not at its path.")

    await until(lambda: not path.exists(), "The removal of the sandbox's socket")
    await context.leaves_nothing(mark)
    # Whatever is removed, a link's target is not the sandbox's.
    expect(list(beside.iterdir()), "Removing the sandbox's files removed what a link in them named.")


@check("files.environment-read-only", Need.ISOLATION)
async def environment_read_only(context: Context) -> None:
    """A program cannot change its environment, its Python or the system."""
    code = """
    import encodings, fastapi, json, os, sys
    places = [os.path.dirname(fastapi.__file__), os.path.dirname(encodings.__file__), os.path.dirname(sys.executable),
              sys.prefix, sys.base_prefix, "/usr", "/etc", "/bin", "/"]
    changed = []
    for place in places:
        path = os.path.join(place, "conformance-check")
        try:
            open(path, "w").close()
            changed.append(place)
            os.unlink(path)
        except OSError:
            pass
    for file in (fastapi.__file__, encodings.__file__, os.path.realpath(sys.executable)):
        try:
            open(file, "r+b").close()  # permission to change it; on a driver that does not isolate it must stay whole
            changed.append(file)
        except OSError:
            pass
    print(json.dumps(changed))
    """
    same(await context.report(code), [], "What the program could change")


@check("files.host-hidden", Need.ISOLATION)
async def host_hidden(context: Context) -> None:
    """The host's files are out of reach: homes, secrets, and files beside the sandbox."""
    canary = str(_make_beside(context.folder) / "file")
    # By its path, and through the root of process 1, which may be the host's.
    paths = [canary, "/proc/1/root" + canary, "/etc/shadow", "/root/.ssh"]
    home = os.environ.get("HOME", "")
    # A service's home may be /, which a sandbox has too.
    if home.startswith(("/home/", "/root", "/Users/")):
        paths.append(home)

    same(await _readable(context, paths), list[str](), "Paths of the host that the program could read")


@check("files.own-root", Need.ISOLATION, Capability.PRIVATE_ROOT)
async def own_root(context: Context) -> None:
    """The program has a root file system of its own: the host's path of its environment is not in it."""
    # A private root shows the environment at a neutral path.
    paths = [str(context.environment.path)]
    same(await _readable(context, paths), list[str](), "Paths of the host that the program could read")


async def _readable(context: Context, paths: list[str]) -> list[str]:
    """The paths among `paths` that a program can read or list."""
    code = """
    import json, os
    seen = []
    for path in json.loads(os.environ["PATHS"]):
        try:
            open(path).read()
            seen.append(path)
        except IsADirectoryError:
            try:
                seen += [path] if os.listdir(path) else []
            except OSError:
                pass
        except OSError:
            pass
    print(json.dumps(seen))
    """
    return await context.report(code, env={"PATHS": json.dumps(paths)})
