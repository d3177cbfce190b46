"""The template that machines are made from: a Python image with this very codewords-mcp in it, whose agent runs.

A machine that E2B makes from it has the agent up already, since E2B keeps a template with its memory.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import structlog
from packaging.requirements import Requirement

import codewords_mcp
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.environments import is_environment
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from e2b import TemplateClass

_INSTALL_FOLDER: Final = "/opt/codewords"
_READY: Final = "/run/codewords-agent"
_DISTRIBUTION: Final = "codewords-mcp"

log = structlog.get_logger(__name__)


async def build(
    account: E2bAccount, settings: Settings, client: Path, on_line: Callable[[str], object]
) -> str:
    """Build it, as long as that takes, and remove the environments that were made from the last one.

    `client` is the wheel of `codewords-client`; `on_line` gets each line of the build's log. Returns what went wrong after
    the template was built, "" where nothing did. Raises what `E2bAccount.build` does.
    """

    def on_entry(entry: Any) -> None:
        on_line(str(entry.message))

    with _context(client) as folder:
        await account.build(
            _described(folder), settings.e2b_template, cpus=settings.e2b_cpus, memory_mb=settings.e2b_memory_mb,
            on_line=on_entry,
        )  # fmt: skip

    try:
        await remove_environments(account, settings.e2b_template)
    except CodewordsError as error:
        # The template stands, so this is no failure of the build.
        log.warning("E2B environments of the earlier template not removed", reason=error.message)
        return f"Environments of the template before were not removed: {error.message}"

    return ""


async def remove_environments(account: E2bAccount, template: str) -> int:
    """Remove the environments of a template; how many there were. They are built again when they are needed."""
    found = [
        number
        async for number, names in account.snapshots()
        if any(is_environment(name, template) for name in names)
    ]
    for number in found:
        try:
            await account.forget_snapshot(number)
        except CodewordsError as error:
            # The others are removed all the same; what stays costs storage, no more.
            log.warning("E2B environment not removed", snapshot=number, reason=error.message)

    return len(found)


def requirements() -> list[str]:
    """Requirements of codewords-mcp, in the versions that are installed here, so that both ends are the same."""
    needed = (Requirement(text) for text in metadata.requires(_DISTRIBUTION) or [])
    return sorted(
        f"{requirement.name}=={metadata.version(requirement.name)}"
        for requirement in needed
        # Extras are no part of the agent.
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    )


@contextmanager
def _context(client: Path) -> Generator[Path]:
    """A folder with what is copied into the template."""
    with TemporaryDirectory(prefix="codewords-template-") as name:
        folder = Path(name)
        ignored = shutil.ignore_patterns("__pycache__", "_wheels")
        package = shutil.copytree(
            Path(codewords_mcp.__file__).parent, folder / "app" / "codewords_mcp", ignore=ignored
        )
        # The wheel that was asked for, and none that a build left in the package.
        (package / "_wheels").mkdir()
        shutil.copy(client, package / "_wheels")
        (folder / "requirements.txt").write_text("\n".join(requirements()) + "\n", encoding="utf-8")
        yield folder


def _described(folder: Path) -> TemplateClass:
    """For the SDK's builder."""
    import e2b

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    install = f"{_INSTALL_FOLDER}/venv/bin/uv pip install --quiet --compile-bytecode --python {_INSTALL_FOLDER}/venv/bin/python"
    install += f" -r {_INSTALL_FOLDER}/requirements.txt"
    bare = e2b.AsyncTemplate(file_context_path=str(folder))

    return (
        bare.from_python_image(f"{python}-slim")
        .set_user("root")
        .copy("requirements.txt", f"{_INSTALL_FOLDER}/requirements.txt", user="root")
        .run_cmd(
            [
                f"python3 -m venv {_INSTALL_FOLDER}/venv",
                f"{_INSTALL_FOLDER}/venv/bin/pip install --quiet uv=={metadata.version('uv')}",
                install,
            ],
            user="root",
        )
        .copy("app", f"{_INSTALL_FOLDER}/app", user="root")
        .run_cmd(f"{_INSTALL_FOLDER}/venv/bin/python -m compileall -q {_INSTALL_FOLDER}/app", user="root")
        .set_start_cmd(
            f"PYTHONPATH={_INSTALL_FOLDER}/app exec {_INSTALL_FOLDER}/venv/bin/python -m codewords_mcp.agent --ready {_READY}",
            # E2B keeps the machine's memory when this succeeds: the agent must be listening by
            # then.
            f"test -e {_READY}",
        )
    )
