"""A run of `codewords dev`: its files, its requests, logs of runs, and lines that are typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codewords_mcp.cli._client import Json, RemoteError
from codewords_mcp.cli._example import main_path
from codewords_mcp.cli.dev.connection import RuntimeConnection
from codewords_mcp.cli.dev.events import Events
from codewords_mcp.cli.dev.served_file import ServedFile, asks_of
from codewords_mcp.cli.dev.typed_lines import TypedLines
from codewords_mcp.cli.dev.watcher import INTERVAL, workflow_files
from codewords_mcp.errors import CodewordsError, ConsentNeeded, Forbidden

RENEW_INTERVAL: Final = 30.0
"""Seconds between two renewals; a draft is served for three times as long."""
SCAN_INTERVAL: Final = 1.0
"""Seconds between two looks for new files in a folder."""


@dataclass(frozen=True, slots=True)
class DevOptions:
    """Options of the command. `target` is a file or folder, `input` the JSON text of `--call`."""

    target: Path
    input: str | None
    dry_run: bool
    allow: bool
    debug: bool

    @property
    def single(self) -> bool:
        """Whether one file is served, at the root of the address."""
        return not self.target.is_dir()


class DevSession:
    """The served files and all that goes on with them. `address` is where they are served, without a last slash."""

    def __init__(
        self, options: DevOptions, runtime: RuntimeConnection, events: Events, lines: TypedLines
    ) -> None:
        self.files: list[ServedFile] = []
        self.address = ""
        self._options = options
        self._runtime = runtime
        self._events = events
        self._lines = lines
        self._latest: ServedFile | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: dict[ServedFile, asyncio.Task[None]] = {}
        self._missing: set[Path] = set()

    async def open(self) -> None:
        """Serve every file for the first time. Raises InvalidInput for a folder without a workflow."""
        if self._options.single:
            self._add(self._options.target)
        else:
            self._scan()
        await asyncio.gather(*(file.refresh() for file in self.files))

    async def run(self) -> None:
        """Serve what changes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._renew())
            group.create_task(self._call_on_enter())
            if not self._options.single:
                group.create_task(self._watch_folder())

    async def close(self) -> None:
        """End what goes on and remove what is served."""
        tasks = [*self._tasks, *self._refreshing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(file.close() for file in self.files))

    def watch_run(self, run_id: str, file: ServedFile) -> asyncio.Task[None]:
        """Show the log of a run as it comes, and at its end what it held."""
        return self._start(self._follow(run_id, file))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _add(self, path: Path) -> ServedFile:
        options = self._options
        file = ServedFile(
            path, path.name, self._runtime, self._events, self._ask, allow=options.allow, debug=options.debug
        )
        file.on_served = self._served
        self.files.append(file)
        return file

    def _scan(self) -> list[ServedFile]:
        """Take in the files that are new in the folder. Returns them."""
        known = {file.path for file in self.files}
        return [self._add(path) for path in workflow_files(self._options.target) if path not in known]

    def _served(self, file: ServedFile) -> None:
        self._latest = file
        if self._options.debug:
            self._start(self._boot(file))
        # At the first serving there is no address yet; `call_first` makes that call.
        if self._options.input is not None and self.address:
            self._start(self._call(file))

    async def _watch(self) -> None:
        while True:
            for file in self.files:
                # One at a time for each file: a person may be asked about one of them.
                if file.changed and file not in self._refreshing:
                    task = self._refreshing[file] = asyncio.create_task(file.refresh())
                    task.add_done_callback(lambda _, file=file: self._refreshing.pop(file, None))
            await asyncio.sleep(INTERVAL)

    async def _watch_folder(self) -> None:
        while True:
            await asyncio.sleep(SCAN_INTERVAL)
            with suppress(CodewordsError):
                self._scan()
            gone = {file.path for file in self.files if not file.path.exists()}
            # Missing twice: an editor that saves by a new file may be half-way.
            for file in [file for file in self.files if file.path in gone & self._missing]:
                self.files.remove(file)
                self._events.say(
                    "removed", f"{file.name} is gone and served no longer", "yellow", file=file.name
                )
                await file.close()
            self._missing = gone

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_INTERVAL)
            await asyncio.gather(*(file.renew() for file in self.files))

    async def _call_on_enter(self) -> None:
        while True:
            await self._lines.next()
            file = self._latest or (self.files[0] if self.files else None)
            if file is not None:
                await self._call(file)

    async def call_first(self) -> None:
        """Make the call of `--call` for the first time, where its file is served."""
        if self._options.input is not None and self._latest is not None:
            await self._call(self._latest)

    async def _call(self, file: ServedFile) -> None:
        """Call the main route with the input of `--call`, else with the example that the last check found."""
        import httpx2

        text = self._options.input
        if text is None and file.draft.get("example_from") is None:
            self._events.say(
                "call", f"{file.name} has no example to be called with; --call gives an input", "yellow"
            )
            return
        if text is not None:
            content = text
        else:
            content = json.dumps(file.draft["example"], ensure_ascii=False)
        prefix = "" if self._options.single else f"/{file.path.stem}"
        # The call goes by the local address, so that it is listed and its log shown as for any other.
        target = f"{self.address}{prefix}/{main_path(file.draft).lstrip('/')}"
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=None) as client:  # a run may take minutes
                headers = {"Content-Type": "application/json"}
                response = await client.post(target, content=content.encode(), headers=headers)
        except httpx2.HTTPError as error:
            self._events.say("call", f"The call broke off: {type(error).__name__}", "red")
            return
        self._events.answer(response.text.rstrip("\n"))

    async def _boot(self, file: ServedFile) -> None:
        """Start the program of a file that is debugged, so that an editor can attach before its first call."""
        stream = self._runtime.stream("GET", f"/run/{file.draft_id}/openapi.json", content=b"", headers=[])
        with suppress(CodewordsError):
            async with stream as response:
                await response.aread()

    async def _follow(self, run_id: str, file: ServedFile) -> None:
        try:
            async for entry in self._runtime.lines("GET", f"/logs/{run_id}"):
                self._events.log(run_id, entry, file.path)
            if self._options.dry_run:
                self._print_writes(run_id, await self._runtime.call("GET", f"/runs/{run_id}/writes"))
        except CodewordsError:
            # The runtime ended, or the run never began: its request says so.
            return

    def _print_writes(self, run_id: str, found: Json) -> None:
        lines: list[str] = found["lines"]
        if lines:
            held = f"Held, not sent: {len(lines)}"
        else:
            held = "It would write nothing"
        self._events.say("held", held, "yellow", run_id=run_id, lines=lines)
        for line in lines:
            self._events.detail(f"- {line}", "yellow")

    async def _ask(self, question: RemoteError) -> str:
        details = question.details()
        asks = asks_of(question)
        self._events.say("consent", question.message, "bold yellow", asks=asks)
        for line in asks:
            self._events.detail(f"+ {line}", "yellow")
        if not self._lines.by_person:
            raise ConsentNeeded(
                question.message,
                asks=asks,
                confirm=str(details.get("confirm") or ""),
                url=str(details.get("url") or ""),
                hint="--allow agrees to all of this.",
            )
        self._events.detail("Do you agree? [y/N]", "bold")
        if (await self._lines.answer()).strip().lower() not in {"y", "yes"}:
            raise Forbidden("You declined what it asks for.")
        return str(details.get("confirm") or "")
