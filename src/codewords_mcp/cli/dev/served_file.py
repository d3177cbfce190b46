"""A file of a workflow that the runtime serves as a draft, as it is saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from codewords_mcp.cli._client import SLOW, Json, RemoteError
from codewords_mcp.cli._refs import part
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._shared_modules import ModuleLinks
from codewords_mcp.cli._sources import deployed_as
from codewords_mcp.cli.dev.connection import RuntimeConnection
from codewords_mcp.cli.dev.declared import DeclaredSettings, declared_settings, project_file
from codewords_mcp.cli.dev.events import Events
from codewords_mcp.cli.dev.watcher import Stamp, read_quiet, stamp, wait_until_quiet
from codewords_mcp.errors import CodewordsError, Forbidden, RuntimeUnavailable

Ask = Callable[[RemoteError], Awaitable[str]]
"""`await ask(question)` returns the token of a question that the person agreed to. Raises Forbidden, ConsentNeeded."""


class ServedFile:
    """One file. `name` is how it is called here; `problem` says why its present content is not served.

    `allow`: whatever its code may reach is agreed to. `debug`: it is served with a debugger.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        runtime: RuntimeConnection,
        events: Events,
        ask: Ask,
        *,
        allow: bool = False,
        debug: bool = False,
    ) -> None:
        self.path = path
        self.name = name
        self.draft_id = ""
        self.draft: Json = {}
        """The draft as its last check left it: routes, example."""
        self.problem: CodewordsError | None = None
        self.on_served: Callable[[ServedFile], None] = _ignore
        self._runtime = runtime
        self._events = events
        self._ask = ask
        self._allow = allow
        self._debug = debug
        self._files: tuple[Path, ...] = (path,)
        """The file, and all that its code is made of beside it."""
        self._stamp: tuple[Stamp | None, ...] | None = None
        self._content: tuple[str, dict[str, str] | None] | None = None
        """The code that is served and its configuration values."""
        self._missing_secrets: set[str] = set()
        self._agreed: set[str] = set()
        self._workflow: str | None = None
        self._lock = asyncio.Lock()
        self._checking: asyncio.Task[None] | None = None

    @property
    def changed(self) -> bool:
        """Whether the file is another than when it was served last."""
        return self._stamps() != self._stamp

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(map(stamp, self._files))

    async def refresh(self) -> None:
        """Serve the file as it is now, where it has changed. Sets `problem`; never raises."""
        async with self._lock:
            found = self._stamps()
            known = self._content is not None or self.problem is not None
            # A runtime that did not answer may answer now.
            if found == self._stamp and known and not isinstance(self.problem, RuntimeUnavailable):
                return
            try:
                code, settings = await self._read()
                # Taken before the next change: it is newer than this, and is looked at by the next call.
                self._stamp = found = self._stamps()
                if (code, settings.config) != self._content or self.problem is not None:
                    await self._serve(code, settings)
            except CodewordsError as error:
                # Content that failed is not tried again, unless a file has changed while it was tried.
                if len(found) != len(self._files):
                    found = self._stamps()
                self._stamp = found if self._stamps() == found else self._stamp
                self._fail(error)

    async def _read(self) -> tuple[str, DeclaredSettings]:
        """The code with its shared modules, and its settings, once nobody writes their files.

        Raises InvalidInput, ValidationFailed.
        """
        await wait_until_quiet(self._files)
        links = ModuleLinks(self.path)
        try:
            return links.link(await read_quiet(self.path)), declared_settings(self.path)
        finally:
            # Also of code that is refused: the file that is at fault is looked at from now on.
            self._files = (*links.files, project_file(self.path))

    async def serve_again(self) -> None:
        """Serve it anew: the runtime serves it no longer, or is another process. Sets `problem`."""
        async with self._lock:
            self._content = self._stamp = None
        await self.refresh()

    async def renew(self) -> None:
        """Keep it served. Where it is not any more, it is served anew."""
        if not self.draft_id or self.problem is not None:
            return
        try:
            await self._runtime.call("PUT", f"/drafts/{self.draft_id}/serving", body={})
        except RemoteError as error:
            if error.code == "not_found":
                await self.serve_again()
        except RuntimeUnavailable:
            # The next request or save finds the runtime again.
            return

    async def close(self) -> None:
        """Stop its check and delete its draft."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        if self.draft_id:
            with suppress(CodewordsError):
                # Ctrl-C waits for this. A draft that is not deleted expires at the runtime.
                await self._runtime.call("DELETE", f"/drafts/{self.draft_id}", quiet=5)

    async def _serve(self, code: str, settings: DeclaredSettings) -> None:
        started = time.perf_counter()
        runtime = self._runtime.endpoint
        try:
            done = await self._put(code, settings.config)
        except RuntimeUnavailable:
            # It was stopped or killed, perhaps at a change of its settings. Serving again repeats nothing.
            if self._runtime.endpoint is runtime:
                await self._runtime.find_again()
            done = await self._put(code, settings.config)

        self._content, self.problem = (code, settings.config), None
        ms = (time.perf_counter() - started) * 1000
        self._events.served(self.name, done["revision"], ms, built=done["environment_built"])
        self._start_check(code, int(done["revision"]), settings.secrets)
        self.on_served(self)

    async def _put(self, code: str, config: dict[str, str] | None) -> Json:
        """Serve this code by the file's draft, which is made where there is none."""
        if self.draft_id:
            try:
                return await self._put_agreed(code, config)
            except RemoteError as error:
                if error.code != "not_found":
                    raise
        # Without a draft, or after it was deleted or has expired, another one is made.
        self._workflow = await self._deployed_as()
        # The checks come after the code is served, so that a save does not wait for them.
        body = {"code": code, "name": self.path.stem, "check": False}
        made = await self._runtime.call("POST", "/drafts", body=body)
        self.draft_id = str(made["draft"]["draft_id"])
        return await self._put_agreed(code, config)

    async def _put_agreed(self, code: str, config: dict[str, str] | None) -> Json:
        """Serve this code; a person is asked for what it may reach that nobody agreed to."""
        path = f"/drafts/{self.draft_id}/serving"
        body: Json = {"code": code, "workflow": self._workflow, "allow": self._allow}
        if self._debug:
            body["debug"] = True
        if config is not None:
            body["config"] = config
        try:
            return await self._runtime.call_with_progress("PUT", path, body, self._progress)
        except RemoteError as error:
            if error.code != "consent_needed":
                raise
            asks = set(asks_of(error))
            # A runtime that was started again does not know what was agreed to.
            if asks <= self._agreed:
                body["allow"] = True
            else:
                body["confirm"] = await self._ask(error)
            done = await self._runtime.call_with_progress("PUT", path, body, self._progress)
            self._agreed |= asks
            return done

    def _progress(self, text: str) -> None:
        self._events.say("environment", f"{self.name}: {text}", "dim", file=self.name)

    async def _deployed_as(self) -> str | None:
        """The workflow that this file was deployed as, while it is there and this person's."""
        known = deployed_as(str(self.path))
        if known is None:
            return None
        try:
            found = await self._runtime.call("GET", f"/workflows/{part(known)}")
        except RemoteError:
            return None
        return None if found.get("published_by") else known

    def _fail(self, error: CodewordsError) -> None:
        before, self.problem = self.problem, error
        # Every request tries again while the runtime is away, and one line about it is enough.
        if before is not None and before.message == error.message:
            return
        details: Json = error.details()
        line, column = details.get("line"), details.get("column")
        position = f":{line}:{column or 1}" if line else ""
        hint = worded(error.hint, error.remedy)
        if isinstance(error, Forbidden):
            hint = "Save the file again to be asked again."
        facts: dict[str, Any] = {"line": line, "column": column} if line else {}
        self._events.problem(self.name, error.message, hint, position, code=error.code, **facts)

    def _start_check(self, code: str, revision: int, secrets: tuple[str, ...]) -> None:
        if self._checking is not None:
            self._checking.cancel()
        self._checking = asyncio.create_task(self._check(code, revision, secrets))

    async def _check(self, code: str, revision: int, secrets: tuple[str, ...]) -> None:
        """Run all checks, beside requests; what a newer change has overtaken is dropped."""
        try:
            # With its revision, so that an overtaken check does not bring old code back.
            body = {"code": code, "revision": revision}
            done = await self._runtime.call("POST", f"/drafts/{self.draft_id}/edits", body=body, quiet=SLOW)
            if secrets:
                await self._check_secrets(secrets)
        except CodewordsError:
            # Another change came meanwhile, or the runtime ended: the next change is checked.
            return
        self.draft = done["draft"]
        self._events.checks(self.name, self.draft["checks"], ready=bool(self.draft["ready"]))

    async def _check_secrets(self, names: tuple[str, ...]) -> None:
        """Tell once of each secret that the project needs and that has no value."""
        missing, cursor = set(names), ""
        while missing and cursor is not None:
            page = await self._runtime.call("GET", "/secrets", params={"cursor": cursor or None})
            missing -= {str(secret["name"]) for secret in page["items"]}
            cursor = page.get("next_cursor")
        for name in sorted(missing - self._missing_secrets):
            self._events.say(
                "secret", f"! {self.name} needs the secret {name}, which has no value: codewords secrets set {name}",
                "yellow", file=self.name, name=name,
            )  # fmt: skip
        self._missing_secrets = missing


def asks_of(question: RemoteError) -> list[str]:
    """The lines of what a question asks for."""
    return [str(line) for line in cast("list[str]", question.details().get("asks") or [])]


def _ignore(_: ServedFile) -> None:
    """Nobody waits for it."""
