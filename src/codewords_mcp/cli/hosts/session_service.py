"""The runtime as a service of a person's session: the files of systemd, launchd and Windows' task scheduler.

The files are made the same everywhere; only what carries them out needs the manager's own program. Settings are in
`service.json` of the home (0600), which `serve --service` reads, so that no unit holds a key and none needs quoting.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codewords_mcp.errors import InvalidInput, RuntimeUnavailable
from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio.spawn import PYTHON_OPTIONS

VARIABLES: Final = "service.json"
_PRESERVED_PREFIXES: Final = ("CODEWORDS_", "UV_", "AWS_", "OTEL_", "E2B_")
_PRESERVED: Final = frozenset(
    {
        "PATH", "LANG", "TZ", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_OF_COMMANDS: Final = frozenset({"CODEWORDS_HOME", "CODEWORDS_RUNTIME_URL", homes.READY_FD})
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SessionService:
    """One home's runtime as a service. `name` is its name at the manager."""

    home: Path
    name: str
    command: tuple[str, ...]

    @classmethod
    def of(cls, home: Path) -> SessionService:
        """The service of a home. That of the usual home is `codewords`; others have a name of their own."""
        usual = {name: value for name, value in os.environ.items() if name != "CODEWORDS_HOME"}
        mark = hashlib.sha256(str(home).encode()).hexdigest()[:8]
        if str(home) == homes.home_folder(usual):
            # A stable name for the usual home, which people type; others need one each.
            name = "codewords"
        else:
            name = f"codewords-{mark}"
        return cls(home, name, (sys.executable, *PYTHON_OPTIONS, "-m", "codewords_mcp", "serve", "--service"))


class Manager(ABC):
    """A manager of services. Raises RuntimeUnavailable if its program is missing or fails."""

    id: str
    title: str
    after: str
    """Advice for a person after the installation."""
    tool: str

    @abstractmethod
    def file(self, service: SessionService) -> Path:
        """The service's file."""

    @abstractmethod
    def content(self, service: SessionService) -> bytes:
        """Return the content of the service's file."""

    @abstractmethod
    def enable(self, service: SessionService) -> None:
        """Let it start with the session, and now."""

    @abstractmethod
    def disable(self, service: SessionService) -> None:
        """Stop it, and let it start no more."""

    @abstractmethod
    def is_active(self, service: SessionService) -> bool:
        """Whether the manager runs it."""

    def require(self) -> None:
        """Raises RuntimeUnavailable where this machine lacks the manager's program."""
        if shutil.which(self.tool) is None:
            raise RuntimeUnavailable(
                f"{self.tool} is not on this machine, so {self.title} cannot start the runtime.",
                hint="`codewords-mcp service install --print` shows the file; `codewords-mcp serve` is what to start.",
            )

    def _run(self, *words: str) -> str:
        """Run the manager's program and return its output. Raises RuntimeUnavailable with its error text."""
        done = self._tried(*words)
        if done.returncode:
            output_text = " ".join((done.stderr or done.stdout).split())[:300]
            raise RuntimeUnavailable(
                f"`{' '.join((self.tool, *words))}` failed: {output_text or f'exit code {done.returncode}'}.",
                hint=f"Is a session of {self.title} running for this user?",
            )
        return done.stdout

    def _tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tool, *words], capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip


class Systemd(Manager):
    """A unit of the user's systemd."""

    id = "systemd"
    title = "systemd"
    tool = "systemctl"
    after = "To have it from boot on, before you sign in: loginctl enable-linger"

    def file(self, service: SessionService) -> Path:
        """See `Manager`."""
        folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(folder) / "systemd" / "user" / f"{service.name}.service"

    def content(self, service: SessionService) -> bytes:
        """See `Manager`."""
        # Variables are expanded in commands only.
        command = " ".join(_systemd_word(word.replace("$", "$$")) for word in service.command)
        lines = (
            "[Unit]",
            "Description=CodeWords workflows: MCP server and runtime",
            "",
            "[Service]",
            f"ExecStart={command}",
            f"Environment={_systemd_word(f'CODEWORDS_HOME={service.home}')}",
            "# Runs get 15 s to finish; those that are left go on after the next start.",
            "TimeoutStopSec=30",
            "Restart=on-failure",
            "RestartSec=5",
            "# Sandboxes get limits of their own below this unit's.",
            "Delegate=yes",
            "KillMode=mixed",
            "",
            "[Install]",
            "WantedBy=default.target",
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def enable(self, service: SessionService) -> None:
        """See `Manager`."""
        self._run("--user", "daemon-reload")
        self._run("--user", "enable", f"{service.name}.service")
        # Restart and not start: an installed one may run with the settings of before.
        self._run("--user", "restart", f"{service.name}.service")

    def disable(self, service: SessionService) -> None:
        """See `Manager`."""
        self._run("--user", "disable", "--now", f"{service.name}.service")

    def is_active(self, service: SessionService) -> bool:
        """See `Manager`."""
        return self._tried("--user", "is-active", "--quiet", f"{service.name}.service").returncode == 0


def _systemd_word(text: str) -> str:
    """A word of a unit's value: quoted, with its specifiers taken as they are."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


class Launchd(Manager):
    """An agent of the user's launchd."""

    id = "launchd"
    title = "launchd"
    tool = "launchctl"
    after = "System Settings, General, Login Items lists it under your user's background items."

    def _label(self, service: SessionService) -> str:
        return f"com.codewords.{service.name}"

    def _domain(self) -> str:
        if sys.platform == "win32":
            raise InvalidInput("launchd is macOS's.")
        return f"gui/{os.getuid()}"

    def file(self, service: SessionService) -> Path:
        """See `Manager`."""
        return Path.home() / "Library" / "LaunchAgents" / f"{self._label(service)}.plist"

    def content(self, service: SessionService) -> bytes:
        """See `Manager`."""
        import plistlib

        log = str(homes.log_path(str(service.home)))
        return plistlib.dumps(
            {
                "Label": self._label(service),
                "ProgramArguments": list(service.command),
                "EnvironmentVariables": {"CODEWORDS_HOME": str(service.home)},
                "RunAtLoad": True,
                # It comes again when it failed, not after `codewords stop`.
                "KeepAlive": {"SuccessfulExit": False},
                "ExitTimeOut": 30,
                "ProcessType": "Background",
                "StandardOutPath": log,
                "StandardErrorPath": log,
            }
        )

    def enable(self, service: SessionService) -> None:
        """See `Manager`."""
        self._tried("bootout", f"{self._domain()}/{self._label(service)}")  # one of before, if any
        self._run("bootstrap", self._domain(), str(self.file(service)))

    def disable(self, service: SessionService) -> None:
        """See `Manager`."""
        self._run("bootout", f"{self._domain()}/{self._label(service)}")

    def is_active(self, service: SessionService) -> bool:
        """See `Manager`."""
        done = self._tried("print", f"{self._domain()}/{self._label(service)}")
        return done.returncode == 0 and "state = running" in done.stdout


class WindowsTask(Manager):
    """A task of Windows' scheduler that starts the runtime inside WSL2 when its user signs in."""

    id = "windows"
    title = "Windows' task scheduler"
    tool = "schtasks.exe"
    after = "Task Scheduler lists it; the Linux of WSL2 stays up as long as it runs."

    def _task(self, service: SessionService) -> str:
        return service.name.replace("codewords", "CodeWords", 1)

    def file(self, service: SessionService) -> Path:
        """See `Manager`."""
        return service.home / "service-task.xml"

    def content(self, service: SessionService) -> bytes:
        """See `Manager`."""
        from xml.sax.saxutils import escape

        distribution = os.environ.get("WSL_DISTRO_NAME", "")
        words = [
            *(["-d", distribution] if distribution else []),
            "--exec", "/usr/bin/env", f"CODEWORDS_HOME={service.home}", *service.command,
        ]  # fmt: skip
        user = _windows_user()

        return _TASK.format(
            arguments=escape(subprocess.list2cmdline(words)),
            trigger=f"<UserId>{escape(user)}</UserId>" if user else "",
            principal=f"<UserId>{escape(user)}</UserId>" if user else "",
            # schtasks refuses other encodings of an XML file that declares UTF-16.
        ).encode("utf-16")

    def enable(self, service: SessionService) -> None:
        """See `Manager`."""
        path = subprocess.run(
            ["wslpath", "-w", str(self.file(service))], capture_output=True, encoding="utf-8", check=False
        ).stdout.strip()
        self._run("/Create", "/TN", self._task(service), "/XML", path or str(self.file(service)), "/F")
        self._run("/Run", "/TN", self._task(service))

    def disable(self, service: SessionService) -> None:
        """See `Manager`."""
        self._tried("/End", "/TN", self._task(service))
        self._run("/Delete", "/TN", self._task(service), "/F")

    def is_active(self, service: SessionService) -> bool:
        """See `Manager`."""
        done = self._tried("/Query", "/TN", self._task(service), "/FO", "CSV", "/NH")
        return done.returncode == 0 and '"Running"' in done.stdout


_TASK: Final = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>CodeWords workflows: MCP server and runtime</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled>{trigger}</LogonTrigger></Triggers>
  <Principals>
    <Principal id="Author">{principal}<LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>100</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>wsl.exe</Command><Arguments>{arguments}</Arguments></Exec>
  </Actions>
</Task>
"""


def _windows_user() -> str:
    r"""`DOMAIN\user`, without which a task may not start at sign-in; empty outside of Windows."""
    if shutil.which("whoami.exe") is None:
        return ""
    done = subprocess.run(
        ["whoami.exe"], capture_output=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False
    )
    return done.stdout.strip()


MANAGERS: Final[dict[str, Manager]] = {
    manager.id: manager for manager in (Systemd(), Launchd(), WindowsTask())
}


def manager_here() -> Manager:
    """The manager of this person's session. Raises InvalidInput on a system that has none we know."""
    # Before Linux: WSL2 ends with its last window, and a systemd unit with it.
    if os.environ.get("WSL_DISTRO_NAME"):
        return MANAGERS["windows"]
    if sys.platform == "darwin":
        return MANAGERS["launchd"]
    if sys.platform == "linux":
        return MANAGERS["systemd"]

    raise InvalidInput(
        "The runtime needs Linux or macOS, so it can't be a service here.",
        hint="Install codewords-mcp inside WSL2, and run this command there.",
    )


def is_installed(home: Path) -> bool:
    """Whether the session's manager has a service for this home."""
    try:
        return manager_here().file(SessionService.of(home)).is_file()
    except (InvalidInput, OSError):
        return False


def variables() -> dict[str, str]:
    """Return the variables of this environment for the service: settings, keys of model providers, proxies, PATH."""
    from codewords_mcp.runtime.gateway.variables import is_provider_key

    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name not in _OF_COMMANDS
        and (name in _PRESERVED or name.startswith(_PRESERVED_PREFIXES) or is_provider_key(name))
    }


def write_variables(home: Path) -> None:
    """Keep the environment of the service in the home, for its owner only. Raises InvalidInput."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
        path = home / VARIABLES
        # O_EXCL would refuse an older one, and its mode may have been changed.
        path.unlink(missing_ok=True)

        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump({"environment": variables()}, file, indent=2)
    except OSError as error:
        raise InvalidInput(f"{home} cannot be written: {error.strerror}.") from error


def load_variables(home: str) -> None:
    """Take the environment that the service was installed with; nothing where the file is absent."""
    try:
        preserved: dict[str, Any] = json.loads((Path(home) / VARIABLES).read_text(encoding="utf-8"))
        environment = {str(name): str(value) for name, value in preserved["environment"].items()}
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{Path(home) / VARIABLES} cannot be read.",
            hint="`codewords-mcp service install` writes it again.",
        ) from error

    os.environ.update(environment)
