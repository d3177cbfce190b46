"""The lifetime of a runtime's address, and the ways in which the runtime is started again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from codewords_mcp.errors.remedies import Remedy, RemedyAction

StartedBy = Literal["terminal", "supervisor", "service", "detached"]
"""A person's terminal, a container or another program, the session's service manager, or the first
 chat or command that needed a runtime.
"""


def _no_service() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Hosting:
    """The way this runtime's process was started. `idle_timeout` is in seconds, 0 for never.

    `missed_port`: the home's own port, if another program occupies it. `service_installed` returns
    whether a service manager starts this home's runtime with the session.
    """

    started_by: StartedBy = "supervisor"
    idle_timeout: float = 0
    missed_port: int | None = None
    service_installed: Callable[[], bool] = _no_service


class Availability(BaseModel):
    """The lifetime of this runtime's address. `sentence` and `fix` are the same for a person.

    `missed_port`: the home's own port if another program occupies it; addresses given out earlier
    then do not answer. `ends_when_idle`: the runtime ends without use. `starts_with_session`: a
    service manager starts it after a reboot; None if only the program that started it knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    missed_port: int | None = None
    ends_when_idle: bool
    starts_with_session: bool | None
    sentence: str
    fix: str = ""
    remedy: Remedy | None = None


def availability(hosting: Hosting, url: str, *, awaits_events: bool) -> Availability:
    """Compute the availability. `awaits_events`: active schedules, triggers or webhooks prevent the
    end without use.
    """
    installed = hosting.started_by == "service" or hosting.service_installed()
    detached = hosting.started_by == "detached"
    ends = detached and hosting.idle_timeout > 0 and not awaits_events
    sentence, fix = _lasting(hosting, ends=ends, installed=installed)

    if hosting.missed_port is not None:
        missed = hosting.missed_port
        sentence = (
            f"Another program has port {missed} of this home, so addresses given out with it do not answer; "
            f"the runtime is at {url} meanwhile. {sentence}"
        )
        fix = f"End that program, or keep another port with CODEWORDS_PORT. {_STOP.words} {fix}".strip()

    return Availability(
        url=url,
        missed_port=hosting.missed_port,
        ends_when_idle=ends,
        starts_with_session=installed or (False if detached else None),
        sentence=sentence,
        fix=fix,
        remedy=_remedy(hosting, fix),
    )


def _remedy(hosting: Hosting, fix: str) -> Remedy | None:
    """The most urgent remedy of those in the text."""
    if hosting.missed_port is not None:
        return _STOP
    if _INSTALL.words in fix:
        return _INSTALL
    return None


def _lasting(hosting: Hosting, *, ends: bool, installed: bool) -> tuple[str, str]:
    if installed:
        return "It starts with your session.", ""
    if hosting.started_by == "supervisor":
        return (
            "It runs as long as what started it lets it run, and after a reboot that has to start it again.",
            "",
        )
    if hosting.started_by == "terminal":
        return (
            "It runs until the command in its terminal ends; nothing starts it after a reboot.",
            _INSTALL.words,
        )

    after_reboot = "nothing starts it after a reboot before the next chat or `codewords` command."
    if ends:
        idle = f"It ends after {hosting.idle_timeout / 60:.3g} min without use. "
        return (
            idle + "The next chat or `codewords` command starts it again; an HTTP call and a reboot do not."
        ), _INSTALL.words
    if hosting.idle_timeout > 0:
        return f"It stays up for its schedules, triggers and webhooks, but {after_reboot}", _INSTALL.words

    return f"It does not end by itself, but {after_reboot}", _INSTALL.words


_INSTALL = Remedy(RemedyAction.INSTALL_SERVICE)
_STOP = Remedy(RemedyAction.STOP_RUNTIME)
