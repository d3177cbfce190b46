"""Our `codewords-client` wheel, which replaces the registry's in every environment."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.environments.resolver import index_failure
from codewords_mcp.runtime.workflows.environments.uv import Uv

DISTRIBUTION = "codewords-client"


@dataclass(frozen=True, slots=True)
class ClientWheel:
    """A wheel on disk, alone in its folder. `digest` is the SHA-256 of its bytes in hex."""

    path: Path
    version: str
    digest: str

    @property
    def requirement(self) -> str:
        """The override that replaces any pin of the client."""
        return f"{DISTRIBUTION}=={self.version}"


async def client_wheel(uv: Uv, cache: Path) -> ClientWheel:
    """The wheel that came with this distribution, or one built once per content from a source checkout into `cache`.

    Raises EnvironmentFailed where neither is there or the build fails, StorageFailed where the cache cannot be written.
    """
    packaged = _packaged()
    if packaged is not None:
        return _describe(packaged)

    source = _source()
    if source is None:
        raise EnvironmentFailed(
            "The codewords-client wheel is missing from this installation.",
            hint="Install codewords-mcp again.",
        )

    folder = cache / _content(source)
    return _describe(_wheel_in(folder) or await _build(uv, source, folder))


def _packaged() -> Path | None:
    folder = Path(str(resources.files("codewords_mcp"))) / "_wheels"
    return next(iter(sorted(folder.glob("codewords_client-*.whl"))), None)


def _source() -> Path | None:
    """`packages/codewords-client` of the checkout that this module runs from."""
    for parent in Path(__file__).resolve().parents:
        candidate = parent / "packages" / DISTRIBUTION
        if (candidate / "pyproject.toml").is_file():
            return candidate
    return None


def _content(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((source / "src").rglob("*")) + sorted(source.glob("*.*")):
        if path.is_file() and path.suffix != ".pyc":
            # With the names: a renamed file is other content. The separators keep name and
            # bytes apart.
            digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_CAUSES = (
    (
        re.compile(r"No space left|Read-only file system|Permission denied", re.IGNORECASE),
        "this checkout or the home cannot be written",
        "Free space, or give this user the right to write there.",
    ),
)


async def _build(uv: Uv, source: Path, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as temporary:
        work = Path(temporary) / "wheel"
        # hatchling makes folders of its own where TMPDIR says, and leaves them
        scratch = Path(temporary) / "tmp"
        scratch.mkdir()
        done = await uv.run(
            "build",
            "--wheel",
            "--out-dir",
            str(work),
            str(source),
            timeout_s=180,
            doing="building codewords-client",
            extra={"TMPDIR": str(scratch)},
        )
        if done.code or _wheel_in(work) is None:
            raise _not_built(done.stderr)

        return _publish(work, folder)


def _not_built(stderr: str) -> EnvironmentFailed:
    """The error with the cause of a failed build, if it is a known one. uv's own text is never
    included.
    """
    if (failure := index_failure(" ".join(stderr.split()))) is not None:
        return EnvironmentFailed(
            f"The codewords-client wheel could not be built. {failure.message}", hint=failure.hint
        )
    hint = "Run `uv build --wheel packages/codewords-client` to see why."
    for cause, cause_text, hint_text in _CAUSES:
        if cause.search(stderr):
            return EnvironmentFailed(
                f"The codewords-client wheel could not be built: {cause_text}.", hint=hint_text
            )
    return EnvironmentFailed("The codewords-client wheel could not be built from this checkout.", hint=hint)


def _publish(work: Path, folder: Path) -> Path:
    """Rename into place; where another process was first, its wheel has the same content."""
    try:
        work.rename(folder)
    except OSError:
        if _wheel_in(folder) is None:
            raise
    return next(iter(folder.glob("*.whl")))


def _wheel_in(folder: Path) -> Path | None:
    return next(iter(folder.glob("*.whl")), None)


def _describe(wheel: Path) -> ClientWheel:
    version = wheel.name.split("-")[1].replace("_", ".")
    return ClientWheel(Path(os.path.realpath(wheel)), version, hashlib.sha256(wheel.read_bytes()).hexdigest())
