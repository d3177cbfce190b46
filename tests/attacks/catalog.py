"""Every probe, by group, in the order of the report."""

from __future__ import annotations

from typing import Final

from tests.attacks.hostile.attempts import Group
from tests.attacks.hostile.calls import group as calls
from tests.attacks.hostile.egress import group as egress
from tests.attacks.hostile.files import group as files
from tests.attacks.hostile.kernel import group as kernel
from tests.attacks.hostile.privileges import group as privileges
from tests.attacks.hostile.processes import group as processes
from tests.attacks.hostile.sockets import group as sockets
from tests.attacks.probes import Probe, attempted
from tests.attacks.scenarios import answers, authority, bombs, company, keys, leftovers, listener

ALONE: Final[tuple[Group, ...]] = (files, processes, calls, privileges, kernel, sockets, egress)

ONCE: Final = frozenset({"egress", "answers", "leftovers", "bombs"})
"""Groups for which it makes no difference how a program starts: attempted in forks, as most programs start."""
RUNTIME: Final = frozenset({"authority", "keys", "listener"})
"""Groups against the whole runtime, whose own code is the same for every user."""
ONE_DRIVER: Final = RUNTIME | {"answers"}
"""Groups against code that is the same for every driver: attempted with namespaces only."""

SECTIONS: Final[list[tuple[str, list[Probe]]]] = [
    *((group.title, attempted(group)) for group in ALONE[:-1]),
    (egress.title, [*attempted(egress), *company.AFTER_EGRESS]),
    ("Other sandboxes", company.NEIGHBOURS),
    ("What later sandboxes inherit", company.INHERITED),
    (answers.scenes.title, answers.scenes.probes),
    (leftovers.scenes.title, leftovers.scenes.probes),
    (bombs.TITLE, bombs.PROBES),
    (keys.scenes.title, keys.scenes.probes),
    (listener.scenes.title, listener.scenes.probes),
    (authority.scenes.title, authority.scenes.probes),
]
PROBES: Final[list[Probe]] = [probe for _, probes in SECTIONS for probe in probes]
