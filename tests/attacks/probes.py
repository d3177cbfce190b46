"""What a probe is to people, and how what came of it is told."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from tests.attacks.hostile.attempts import Group

User = Literal["root", "user"]
USERS: tuple[User, ...] = ("root", "user")
Driver = Literal["namespaces", "landlock"]
DRIVERS: tuple[Driver, ...] = ("namespaces", "landlock")
S = TypeVar("S")


@dataclass(frozen=True)
class Probe:
    """One hostile act and what has to come of it. `id` is group.name."""

    id: str
    tries: str
    matters: str
    expected: str


@dataclass(frozen=True)
class Result:
    """What came of a probe. `way`: how its sandbox was started (exec, fork); "runtime" for the whole product."""

    id: str
    way: str
    held: bool
    saw: str


class NotHeldError(AssertionError):
    """A probe got what it must not get; says what."""


def held(condition: object, saw: object) -> str:
    """What was seen, as text. Raises NotHeldError where the condition does not hold."""
    if not condition:
        raise NotHeldError(str(saw))
    return str(saw)


class Scenes(Generic[S]):
    """Probes that the host's side judges, each by a coroutine over a stage of type S."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.probes: list[Probe] = []
        self._acts: list[Callable[[S], Awaitable[str]]] = []

    def scene(
        self, name: str, tries: str, matters: str, expected: str
    ) -> Callable[[Callable[[S], Awaitable[str]]], Callable[[S], Awaitable[str]]]:
        """Register a coroutine that returns what it saw, or raises NotHeldError."""

        def register(act: Callable[[S], Awaitable[str]]) -> Callable[[S], Awaitable[str]]:
            self.probes.append(Probe(f"{self.name}.{name}", tries, matters, expected))
            self._acts.append(act)
            return act

        return register

    async def play(self, stage: S, way: str) -> list[Result]:
        """Every scene, one after the other. A scene that breaks has not held."""
        return [
            await _played(probe, act, stage, way) for probe, act in zip(self.probes, self._acts, strict=True)
        ]


async def _played(probe: Probe, act: Callable[[S], Awaitable[str]], stage: S, way: str) -> Result:
    try:
        return Result(probe.id, way, True, await act(stage))
    except NotHeldError as error:
        return Result(probe.id, way, False, str(error))
    except Exception as error:  # noqa: BLE001  # told, as a probe that did not hold
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Result(probe.id, way, False, f"{type(error).__name__}: {error} ({where.name}:{where.lineno})")


def attempted(group: Group) -> list[Probe]:
    """The probes that a hostile program makes itself."""
    return [Probe(one.id, one.tries, one.matters, one.expected.words) for one in group.attempts]
