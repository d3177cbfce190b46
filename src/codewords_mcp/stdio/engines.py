"""Container engines of this machine: which there are, and the few words in which they differ. Standard library only.

Docker, Podman and nerdctl (Colima brings the first or the last) take nearly the same commands. Apple's `container` gives each
container a virtual machine of its own and knows no security options. On Windows an engine inside WSL2 is asked through it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys

from codewords_mcp.errors import RuntimeUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO, Any

VERSION_LABEL = "codewords.version"
HOME_INSIDE = "/home/codewords/home"
COMMAND_TIMEOUT = 60.0
_FOUND_FIRST = ("docker", "podman", "nerdctl", "container")
TITLES = {"docker": "Docker", "podman": "Podman", "nerdctl": "nerdctl", "container": "Apple's container"}
_SECURITY = {
    # A sandbox makes namespaces and mounts of its own, /proc too: the profile below lets it, and nothing hides parts of /proc.
    "docker": ("seccomp={profile}", "systempaths=unconfined", "apparmor=unconfined"),
    "nerdctl": ("seccomp={profile}", "systempaths=unconfined", "apparmor=unconfined"),
    "podman": ("seccomp={profile}", "unmask=ALL", "apparmor=unconfined"),
    "container": (),
}
_PROBE = {"container": ("ls", "--quiet")}
_UNREACHABLE = "{title} is installed and does not answer: start it, then try again."


class ContainerState:
    """A container as the engine tells it. `version` is its label, empty where it has none."""

    __slots__ = ("is_running", "version")

    def __init__(self, version: str, *, is_running: bool) -> None:
        self.version = version
        self.is_running = is_running


class ContainerEngine:
    """An engine: the words that start its program, and its kind, one of `TITLES`."""

    def __init__(self, words: Sequence[str], kind: str, arguments: Sequence[str] = ()) -> None:
        self.words = tuple(words)
        self.kind = kind
        self.title = TITLES[kind]
        self.arguments = tuple(arguments)
        """Further arguments of `run`, before the image."""

    @property
    def shares_network(self) -> bool:
        """Whether containers have this machine's own network, so that no port needs to be published."""
        return any(word in {"--network=host", "--net=host"} for word in self.arguments)

    def call(
        self, *words: str, timeout: float = COMMAND_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine. Raises RuntimeUnavailable where its program is missing or hangs."""
        try:
            return subprocess.run(
                [*self.words, *words], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
                timeout=timeout, env=env, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeUnavailable(_UNREACHABLE.format(title=self.title)) from error

    def answers(self) -> bool:
        """Whether the engine works now: its service runs, this user may use it."""
        try:
            return self.call(*_PROBE.get(self.kind, ("ps", "--quiet"))).returncode == 0
        except RuntimeUnavailable:
            return False

    def state(self, name: str) -> ContainerState | None:
        """The container of this name, or None."""
        done = self.call("inspect", name)
        if done.returncode != 0:
            return None
        return read_state(done.stdout)

    def has_image(self, image: str) -> bool:
        """Whether the image is on this machine; a folder (`--rootfs`) counts as one."""
        if "--rootfs" in self.arguments:
            return os.path.isdir(image)  # noqa: PTH112 - pathlib is not worth its import in the proxy
        return self.call("image", "inspect", image).returncode == 0

    def run_words(
        self,
        name: str,
        image: str,
        *,
        version: str,
        port: int,
        profile: str,
        variables: Sequence[str],
        volume: str,
    ) -> list[str]:
        """The words that start the runtime's container. `variables` are names: their values are taken from the
        environment of the engine's program, where no list of processes shows them.
        """
        options = [option.format(profile=profile) for option in _SECURITY[self.kind]]
        if self.shares_network:
            network = []
        else:
            # Only this machine reaches the port, although the runtime listens on all of its addresses.
            network = ["--publish", f"127.0.0.1:{port}:{port}"]
        host = "127.0.0.1" if self.shares_network else "0.0.0.0"
        return [
            "run", "--detach", "--name", name, "--label", f"{VERSION_LABEL}={version}",
            *(["--init"] if self.kind == "docker" else []),
            *network, "--volume", f"{volume}:{HOME_INSIDE}", "--env", f"CODEWORDS_HOME={HOME_INSIDE}",
            *(word for option in options for word in ("--security-opt", option)),
            *(word for variable in variables for word in ("--env", variable)),
            *self.arguments, image, "serve", "--host", host, "--port", str(port),
        ]  # fmt: skip

    def command_words(
        self, image: str, words: Sequence[str], *, variables: Sequence[str], volume: str
    ) -> list[str]:
        """The words that run a `codewords` command beside a home's volume, in a container that is removed after it.
        `variables` as for `run_words`.
        """
        return [
            "run", "--rm", "--interactive", "--volume", f"{volume}:{HOME_INSIDE}",
            "--env", f"CODEWORDS_HOME={HOME_INSIDE}",
            *(word for variable in variables for word in ("--env", variable)),
            "--entrypoint", "codewords", *self.arguments, image, *words,
        ]  # fmt: skip

    def pipe(
        self, words: Sequence[str], *, stdin: IO[bytes] | None, stdout: IO[bytes] | None
    ) -> tuple[int, str]:
        """Run a command between two files, however long it takes. Returns its exit code and what it wrote to stderr.

        Without a file stdin is empty, and stdout is left out. Raises RuntimeUnavailable where the engine's program is missing.
        """
        try:
            done = subprocess.run(
                [*self.words, *words], stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL,
                stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
        except OSError as error:
            raise RuntimeUnavailable(_UNREACHABLE.format(title=self.title)) from error
        return done.returncode, done.stderr.decode(errors="replace")

    def last_line(self, name: str) -> str:
        """The last line that the container wrote; empty if it wrote none."""
        done = self.call("logs", name)
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return lines[-1] if lines else ""


def read_state(text: str) -> ContainerState | None:
    """Read the output of `inspect`. None where it has another form."""
    try:
        decoded: Any = json.loads(text)
        found: Any = decoded if "State" in decoded or "status" in decoded else decoded[0]
        if "State" in found:
            return ContainerState(_version_of(found["Config"]), is_running=found["State"]["Running"] is True)
        # Apple's
        return ContainerState(_version_of(found["configuration"]), is_running=found["status"] == "running")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _version_of(configuration: Any) -> str:
    labels: Any = configuration.get("Labels") or configuration.get("labels") or {}
    return str(labels.get(VERSION_LABEL, ""))


def engines_here(
    env: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
    system: str = sys.platform,
) -> list[ContainerEngine]:
    """The engines whose programs are on this machine, best first; only the one of CODEWORDS_CONTAINER_ENGINE if that is
    set. Raises RuntimeUnavailable for words that name none.
    """
    arguments = shlex.split(env.get("CODEWORDS_CONTAINER_ARGUMENTS", ""))
    if line := env.get("CODEWORDS_CONTAINER_ENGINE"):
        words = shlex.split(line, posix=system != "win32")
        kind = next((kind for word in words for kind in TITLES if _program(word) == kind), None)
        if kind is None:
            raise RuntimeUnavailable(
                "CODEWORDS_CONTAINER_ENGINE names no engine that is known.",
                hint=f"It starts one of {', '.join(TITLES)}.",
            )
        return [ContainerEngine(words, kind, arguments)]

    found = [
        ContainerEngine([path], kind, arguments)
        for kind in _FOUND_FIRST
        if _fits(kind, system) and (path := which(kind))
    ]
    if system == "win32" and not found and (wsl := which("wsl.exe")):
        found = [ContainerEngine([wsl, "--exec", kind], kind, arguments) for kind in ("docker", "podman")]
    return found


def _fits(kind: str, system: str) -> bool:
    # Elsewhere a program of that common name is another.
    return kind != "container" or system == "darwin"


def _program(word: str) -> str:
    return word.replace("\\", "/").rsplit("/", 1)[-1].lower().removesuffix(".exe")


def engine_here() -> ContainerEngine:
    """The first engine that answers. Raises RuntimeUnavailable, which says what is missing."""
    found = engines_here()
    for engine in found:
        if engine.answers():
            return engine

    if found:
        raise RuntimeUnavailable(
            _UNREACHABLE.format(title=" or ".join(dict.fromkeys(engine.title for engine in found)))
        )
    raise RuntimeUnavailable(
        "No container engine is on this machine.",
        hint="Install Docker Desktop, Podman, Colima or Apple's container, or name one in CODEWORDS_CONTAINER_ENGINE.",
    )
