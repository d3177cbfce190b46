"""Operations of services, and the shapes of their replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version

from codewords_testing.fidelity.exchange import SentReply
from codewords_testing.fidelity.shapes import Shape, Undescribed, description

BINARY: Shape | None = None
"""A reply whose body is no JSON: only its status is looked at."""


@dataclass(frozen=True)
class ApiOperation:
    """One operation: `path` is a pattern of the end of its path.

    `answer` is the shape of a whole reply with status 2xx, by default BINARY; `stream` of each event of a stream, where
    `events` has shapes by the event's name. `statuses` are those of success.
    """

    name: str
    method: str
    path: str
    answer: Shape | None = BINARY
    stream: Shape | None = None
    events: Mapping[str, Shape] = field(default_factory=dict[str, Shape])
    statuses: tuple[int, ...] = (200,)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"(?:.*){self.path}")

    def serves(self, exchange: SentReply) -> bool:
        """Whether the request is one for this operation."""
        return (
            exchange.method in self.method.split("|") and self._pattern.fullmatch(exchange.path) is not None
        )


@dataclass(frozen=True)
class DescriptionSource:
    """Published description of a service's replies, as the page of the stand-ins tells it.

    `date` is that of its release, YYYY-MM. Both are "" where the installed version of an SDK is the description.
    """

    name: str
    version: str
    date: str
    licence: str

    @property
    def text(self) -> str:
        """Name, version and month."""
        found = self.version or version(self.name)
        return f"{self.name} {found} of {self.date}" if self.date else f"{self.name} {found}"


def described_by(file: str) -> DescriptionSource:
    """The source that a file of `descriptions/` names."""
    source = description(file)["source"]
    name, _, version = str(source["package"]).replace("==", "@").rpartition("@")
    return DescriptionSource(name, version, source["date"], source["licence"])


@dataclass(frozen=True)
class DescribedService:
    """One service with its operations in the order in which they are tried. `error` is the shape of replies from 400 on."""

    name: str
    title: str
    source: DescriptionSource | None
    operations: tuple[ApiOperation, ...]
    error: Shape
    checked: str
    """The compared parts of a reply, in words."""
    open: str = ""
    """What is not known of it, in words."""

    @property
    def described(self) -> int:
        """Number of the operations whose replies are compared."""
        return sum(not isinstance(operation.answer, Undescribed) for operation in self.operations)
