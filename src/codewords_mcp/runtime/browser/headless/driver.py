"""The headless driver: which machines can hold a browser, and the sandbox that each session is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog

from codewords_mcp.errors import CodewordsError, NotConnected, ProgramFailed, SandboxFailed
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.runtime.browser.base import BrowserStatus, BrowserUser
from codewords_mcp.runtime.browser.headless import chromium
from codewords_mcp.runtime.browser.headless.session import HeadlessSession
from codewords_mcp.runtime.egress import Egress, EgressEvent
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.namespaces.inside.netns import CONNECT_PORT
from codewords_mcp.settings import Settings

PROGRAM = Path(__file__).with_name("program.py")
TIERS = ("A", "B")
"""Isolation that a browser fits into: others have no network of their own, or no room for what it reserves."""
PROCESSES = 1024
"""Processes and threads: a page of many frames has some 300."""
DISK = 1 << 30
INSTALL = "Install it: `apt-get install chromium` (or Google Chrome), or name one in CODEWORDS_CHROMIUM."
log = structlog.get_logger(__name__)


class HeadlessBrowser:
    """Implements `Browser`. Each session is a sandbox of its own, with the caller's way out and nothing else."""

    name = "headless"
    own = False

    def __init__(
        self,
        settings: Settings,
        driver: Callable[[], Awaitable[Driver]],
        environment_of: Callable[[str], Awaitable[EnvironmentRef]],
        egress: Egress,
    ) -> None:
        self._settings = settings
        self._driver = driver
        self._environment_of = environment_of
        self._egress = egress
        self._sessions: dict[str, HeadlessSession] = {}

    def takes(self, user: BrowserUser) -> bool:  # noqa: ARG002
        """Everybody's."""
        return True

    async def status(self, owner: str) -> BrowserStatus:  # noqa: ARG002  # everybody's is the same
        """See `Browser.status`."""
        if self._settings.sandbox == "e2b":
            return BrowserStatus(
                ready=False,
                sentence="There is no headless browser where sandboxes are machines of E2B.",
                fix="Set CODEWORDS_SANDBOX=local on a Linux machine.",
            )

        # In a thread: it looks through every folder of PATH.
        if await asyncio.to_thread(chromium.find, self._settings.chromium) is None:
            named = self._settings.chromium is not None
            if named:
                where = "where CODEWORDS_CHROMIUM says"
            else:
                where = "on this machine"

            return BrowserStatus(ready=False, sentence=f"There is no Chromium {where}.", fix=INSTALL)

        try:
            tier = (await self._driver()).tier
        except CodewordsError as error:
            return BrowserStatus(ready=False, sentence=error.message, fix=error.hint, remedy=error.remedy)

        # A browser reserves far more addresses than it uses, and needs a network of its own.
        if tier.id not in TIERS:
            return BrowserStatus(
                ready=False,
                sentence=f"The isolation of this machine (tier {tier.id}) cannot hold a browser.",
                fix=tier.fix or f"Linux with user namespaces can. {DIAGNOSE.words}",
                remedy=None if tier.fix else DIAGNOSE,
            )

        return BrowserStatus(ready=True, sentence="Chromium of this machine, headless, in a sandbox.")

    async def open(self, user: BrowserUser) -> HeadlessSession:
        """See `Browser.open`. The first one of a home builds the environment of the program, about 160 MB."""
        status = await self.status(user.caller.owner)
        found = await asyncio.to_thread(chromium.find, self._settings.chromium)
        if not status.ready or found is None:
            raise NotConnected(status.sentence, hint=status.fix, remedy=status.remedy)

        code = await asyncio.to_thread(PROGRAM.read_text, encoding="utf-8")
        environment = await self._environment_of(code)
        spec = SandboxSpec(
            id=f"browser-{uuid.uuid4().hex[:12]}",
            environment=environment,
            code=code,
            env={
                "CHROMIUM": str(found.program),
                "CHROMIUM_SWITCHES": " ".join(chromium.SWITCHES),
                "BROWSER_PROXY": f"http://127.0.0.1:{CONNECT_PORT}",
            },
            limits=Limits(
                memory=self._settings.browser_memory,
                disk=DISK,
                processes=PROCESSES,
                start_timeout=self._settings.start_timeout,
                # Chromium reserves far more addresses than it uses.
                address_space=False,
            ),
            folders=() if found.folder is None else (found.folder,),
            # Sandboxes that stand ready take 40 MB, and save some hundredths of a second.
            ahead=False,
        )
        policy = self._egress.policy
        hosts = user.hosts
        # Registered before the start: the network is attached while the sandbox is made.
        self._egress.expect(spec.id, policy if hosts is None else policy.narrowed(hosts), runtime=False)

        return await self._start(spec)

    def on_connection(self, sandbox_id: str, event: EgressEvent) -> None:
        """Pass a sandbox's attempt to connect to its session, if it is one of these."""
        if (session := self._sessions.get(sandbox_id)) is not None:
            session.on_connection(event)

    async def close(self) -> None:
        """See `Browser.close`."""
        await asyncio.gather(*(session.close() for session in list(self._sessions.values())))

    async def _start(self, spec: SandboxSpec) -> HeadlessSession:
        try:
            sandbox = await (await self._driver()).start(spec)
        finally:
            self._egress.forget(spec.id)

        session = HeadlessSession(
            sandbox,
            traffic=partial(self._egress.traffic, spec.id),
            ended=partial(self._sessions.pop, spec.id, None),
        )
        self._sessions[spec.id] = session
        try:
            await sandbox.wait_ready()
        except BaseException as error:
            await asyncio.shield(session.close())
            # The program is ours: its failure is no workflow's.
            if isinstance(error, ProgramFailed):
                log.error("browser program did not start", sandbox=spec.id, output=session.last_output)
                raise SandboxFailed(
                    "The browser did not start in its sandbox.", hint="The runtime's log has its output."
                ) from error
            raise

        return session
