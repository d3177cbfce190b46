"""The runtime that the proxy talks to: a fixed remote one, or the home's, started when it is gone."""

from __future__ import annotations

import os
from _thread import allocate_lock

from codewords_mcp import __version__
from codewords_mcp.stdio import home, lifecycle, runtime_choice
from codewords_mcp.stdio.http_client import HttpEndpoint
from codewords_mcp.stdio.output import say
from codewords_mcp.stdio.variables import variable_fingerprints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codewords_mcp.stdio.home import RuntimeInfo

RESTARTED = (
    "Note: the runtime had stopped and was started again; a run that was in flight is recorded as interrupted, "
    "what is deployed is still there."
)


class Unavailable(Exception):
    """No runtime to talk to; the message is for the chat."""


class RuntimeTarget:
    """A runtime as it was found. Another process at the same place is another target."""

    def __init__(self, endpoint: HttpEndpoint, name: str) -> None:
        self.endpoint = endpoint
        self.name = name


class RemoteRuntime:
    """The runtime of CODEWORDS_RUNTIME_URL."""

    def __init__(self, url: str, key: str, narrowed: dict[str, str]) -> None:
        try:
            endpoint = HttpEndpoint(url.removesuffix("/").removesuffix("/mcp"), key, narrowed)
        except ValueError as error:
            raise Unavailable(
                f"The runtime's address is {url!r}, which is none (CODEWORDS_RUNTIME_URL). It looks like https://host or http://host:8765."
            ) from error

        # A warning only: plain http inside a private network is common, and not ours to forbid.
        if not endpoint.secure and endpoint.host not in {"127.0.0.1", "localhost", "::1"}:
            say(
                f"warning: {endpoint.host} is reached by plain http, so the key and all else can be read on the way"
            )

        self._target = RuntimeTarget(endpoint, f"the runtime at {endpoint.authority}")

    def target(self) -> RuntimeTarget:
        """See `HomeRuntime`; always the same."""
        return self._target

    def take_note(self) -> str:
        """Return an empty note: the operator of a remote runtime announces its restarts."""
        return ""

    def lost(self) -> str:
        """Return the message for a request whose response did not come."""
        return "It may have been carried out: look with get_run before you call again."


class HomeRuntime:
    """The runtime of the home. Each message first checks that it still lives."""

    def __init__(self, narrowed: dict[str, str]) -> None:
        self._narrowed = narrowed
        self._home = home.home_folder()
        self._lock = allocate_lock()
        self._info: RuntimeInfo | None = None
        self._target: RuntimeTarget | None = None
        self._note = ""

    def target(self) -> RuntimeTarget:
        """The living runtime, started if there is none. Raises Unavailable."""
        with self._lock:
            # Checked for each message, which is cheap (one file and one flock): a runtime may
            # have ended for want of use at any time since.
            if self._target is None or self._info is None or not self._lives(self._info):
                self._connect()
            assert self._target is not None  # noqa: S101 - _connect sets it or raises
            return self._target

    def take_note(self) -> str:
        """Return a note for the next tool result, once."""
        with self._lock:
            note, self._note = self._note, ""
            return note

    def lost(self) -> str:
        """Return the message for a request whose response did not come."""
        return (
            "A run that was in flight is recorded as interrupted: look with get_run. "
            "Call again to go on; a runtime that has stopped is started again by the next call."
        )

    def _lives(self, info: RuntimeInfo) -> bool:
        found = home.find(self._home)
        return found is not None and self._same(found, info)

    @staticmethod
    def _same(info: RuntimeInfo, other: RuntimeInfo) -> bool:
        # With the start time, because the system reuses pids.
        return info.pid == other.pid and info.started_at == other.started_at

    def _connect(self) -> None:
        before, running = self._info, home.find(self._home) is not None
        try:
            info = lifecycle.ensure(self._home, say=say)
            if info.version != __version__:
                info = self._settle_version(info)
            endpoint = HttpEndpoint(info.url, info.token, self._narrowed)
        except Exception as error:
            from codewords_mcp.errors import CodewordsError

            # `errors` is imported only now: a proxy that starts well doesn't pay for it.
            if not isinstance(error, (CodewordsError, ValueError)):
                raise

            say(str(error))
            raise Unavailable(str(error)) from error

        if before is not None and self._same(before, info):
            return  # it had meant to end for want of use, and was asked in time

        self._info, self._target = info, RuntimeTarget(endpoint, f"the runtime of {self._home}")
        self._warn(info, started_here=not running)
        if before is not None and info.recovered:
            # One that ended by idling or by `stop` left in order, and nobody needs to hear of it.
            self._note = RESTARTED
            say(RESTARTED.removeprefix("Note: "))

    def _warn(self, info: RuntimeInfo, *, started_here: bool) -> None:
        """Tell the host's log, and the chat once, of a moved address and of settings that are ignored."""
        notes: list[str] = []
        if info.missed_port:
            notes.append(
                f"another program has port {info.missed_port} of this home, so the runtime is at {info.url} and "
                "addresses given out before do not answer; `codewords doctor` says what to do."
            )

        ours = variable_fingerprints(os.environ, info.token)
        if not started_here and not ours.items() <= info.variables.items():
            # Only now: the same text means the same.
            from pydantic import ValidationError
            from pydantic_settings import SettingsError

            from codewords_mcp.settings import Settings
            from codewords_mcp.stdio.settings_conflict import conflict_sentence, ignored_settings

            try:
                ignored = ignored_settings(Settings(), info.settings, info.token)
            except (ValidationError, SettingsError):
                ignored = []

            if ignored:
                notes.append(conflict_sentence(ignored))

        for note in notes:
            say(note)
        if notes:
            self._note = " ".join(["Note:", *notes])

    def _settle_version(self, info: RuntimeInfo) -> RuntimeInfo:
        theirs, ours = home.version_key(info.version), home.version_key(__version__)
        # A newer runtime is never replaced by an older one: it may have migrated the database.
        if theirs >= ours:
            say(
                f"the home's runtime is version {info.version}, this program {__version__}, which uses it. Update this program."
            )
            return info

        from codewords_mcp.errors import CodewordsError

        try:
            # Only an idle one: an update of the package must not interrupt somebody's runs.
            lifecycle.stop(self._home, only_idle=True)
        except CodewordsError as error:
            say(f"the home's runtime is of the older version {info.version} and stays: {error}")
            return info

        say(f"replaced the home's runtime of version {info.version} by {__version__}")
        return lifecycle.ensure(self._home, say=say)


def choose(narrowed: dict[str, str]) -> HomeRuntime | RemoteRuntime:
    """The runtime that the environment or the home names. Raises Unavailable for an address that is none."""
    choice = runtime_choice.read(home.home_folder())
    if choice.kind == runtime_choice.REMOTE:
        return RemoteRuntime(choice.url, choice.key, narrowed)
    return HomeRuntime(narrowed)
